-- What happened, in one order that never changes: what is read once is never preceded by something new. Gathers what was
-- committed since (coupon.gather_events()) where the page reaches the end: also where what is behind it has no events any more,
-- since its grants were moved out.
create or replace function public.events(after text default null, page_size integer default 100)
returns table (
  event_id text,
  event public.event_type,
  at timestamptz,
  coupon_id bigint,
  user_id bigint,
  "position" integer,
  use_reference text,
  old_values jsonb,
  new_values jsonb
)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_number bigint := 1;
  v_place integer := -1; -- what comes after it, of the row with that number
  v_can_gather boolean := not current_setting('transaction_read_only')::boolean; -- a standby has what its primary gathered
  v_last_number bigint;
  v_left integer := events.page_size;
  v_told integer;
begin
  if events.page_size is null or events.page_size not between 1 and 1000 then
    perform coupon.refuse_argument('page_size', 'must lie between 1 and 1000');
  end if;
  if events.after <> 'latest' then
    select p.number, p.place into v_number, v_place from coupon.event_place(events.after) p;
    perform
    from coupon.events e
    where e.number = v_number
      and coupon.event_id(e, v_place) = events.after
      and v_place between coalesce(e.first_position, 0) and coupon.last_place(e);
    if not found then
      perform coupon.refuse_argument('after', case
        when v_number <= (select g.last_number from coupon.gathered g)
          or not coupon.keeps_snapshot() and not pg_is_in_recovery()
          or v_number is null
        then 'must be the event_id of an event of this database, or latest; if it was one, the database lost what it then had'
        when pg_is_in_recovery()
        then 'must be the event_id of an event that this standby has; if its primary has it, ask again'
        else 'must be the event_id of an event that this transaction sees: it began before; ask in another one' end);
    end if;
  end if;

  select g.last_number into v_last_number from coupon.gathered g;
  if v_can_gather and (events.after = 'latest' or v_last_number < v_number + events.page_size) then
    perform coupon.gather_events();
    v_can_gather := false;
  end if;
  if events.after = 'latest' then
    select e.number, coupon.last_place(e) - 1 into v_number, v_place
    from coupon.events e
    order by e.number desc
    limit 1;
  end if;

  loop
    return query
    select a.event_id, a.event, a.at, a.of_coupon, a.user_id, a.position, a.use_reference, a.old_values, a.new_values
    from coupon.events_after(v_number, v_place, v_left, case when v_can_gather then v_last_number end) a
    order by a.at_number, a.at_place;
    get diagnostics v_told = row_count;
    v_left := v_left - v_told;
    exit when v_left = 0 or not v_can_gather;
    -- All up to v_last_number was told.
    v_number := v_last_number + 1;
    v_place := -1;
    perform coupon.gather_events();
    v_can_gather := false;
  end loop;
end
$$;

comment on function public.events(text, integer) is
  'What happened to coupons and their units: the first page_size (1 to 1000) events after the one with this event_id, or from
the beginning; after => ''latest'' is the newest event alone. Go on with the last event_id. The order never changes, and
nothing is ever added before what was read; of one coupon it is the order of what happened: grants by position, and each
change after the grants that came before it. An event comes once its transaction is committed. An event_id that this
database does not know (22023) is of another one, or of one that was restored to an earlier time: begin again. Grants of
retired coupons have no events any more; references of a user who is forgotten are gone, as in the audit.';
