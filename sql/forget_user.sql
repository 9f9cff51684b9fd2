-- Forgets a person. user_not_found · already_forgotten · forgotten. Takes the issuing lock, once the name is gone.
--
-- The number stays, with its grants and their positions: so counts, the order of arrival and one coupon a day hold. The row
-- of the user goes, and so nothing is issued to the number any more. References of uses, reasons of undone ones, name and subjects
-- in other reasons become coupon.forgotten(). Subjects of identity providers go with the user; for two days a digest stays.
create or replace function public.forget_user(user_id bigint, reason text default null, actor text default null)
returns table (outcome public.forget_user_outcome)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set standard_conforming_strings = on -- else a backslash is read in another way
set gin_fuzzy_search_limit = 0 -- else the index of reasons tells some of them alone
set enable_seqscan = off
set jit = off
as $$
declare
  v_name text;
  v_words text[];
  v_word text;
  v_gone jsonb := jsonb_build_object('use_reference', coupon.forgotten());
  v_days date[];
  v_coupons bigint[];
begin
  if forget_user.user_id is null then
    perform coupon.refuse_argument('user_id', 'must not be null');
  end if;
  perform coupon.check_reason_and_actor(forget_user.reason, forget_user.actor);
  if coupon.keeps_snapshot() then
    raise exception 'at % it would leave words that others have written since', upper(current_setting('transaction_isolation'))
      using errcode = 'invalid_transaction_state', hint = 'begin isolation level read committed';
  end if;

  -- One at a time, and no import meanwhile.
  lock table coupon.forgotten_users in share row exclusive mode;
  select u.display_name into v_name from coupon.users u where u.id = forget_user.user_id;
  if not found then
    outcome := case
      when exists (select from coupon.forgotten_users f where f.user_id = forget_user.user_id) then 'already_forgotten'
      else 'user_not_found' end;
    if outcome = 'already_forgotten' then
      perform coupon.fence_replay();
    end if;
    return next;
    return;
  end if;

  perform coupon.commit_durably();
  -- The longest first: a subject may be a word of the name, and without it the rest of the name would not be found.
  v_words := array(
    select w.word
    from (
      select s.subject from coupon.subjects s where s.user_id = forget_user.user_id
      union all
      select v_name
    ) w (word)
    order by length(w.word) desc);
  insert into coupon.forgotten_users (user_id) values (forget_user.user_id);
  insert into coupon.forgotten_subjects as f (digest, user_id)
  select coupon.digest_subject(s.issuer, s.subject), s.user_id
  from coupon.subjects s
  where s.user_id = forget_user.user_id
  on conflict on constraint forgotten_subjects_pkey do update
  set user_id = excluded.user_id, forgotten_at = excluded.forgotten_at;
  delete from coupon.users u where u.id = forget_user.user_id;
  perform coupon.clear_incoming_users();
  insert into coupon.audit (command, user_id, reason, actor)
  values ('forget_user', forget_user.user_id, forget_user.reason, forget_user.actor);
  foreach v_word in array v_words loop
    update coupon.audit a
    set reason = coupon.take_out(v_word, a.reason)
    where a.reason is not null
      and coupon.words_of(a.reason) @> coupon.words_of(v_word)
      and a.reason <> coupon.take_out(v_word, a.reason);
  end loop;

  -- No grant is made from here on, and whoever uses one of these has done so, or finds no user.
  perform coupon.lock_issuing(null);
  loop
    select array_agg(w.coupon_id), array_agg(w.issued_on) into v_coupons, v_days
    from public.wallet(forget_user.user_id, v_days[1000], 1000) w;
    perform
    from coupon.user_coupons g
    where g.coupon_id = any (v_coupons) and g.user_id = forget_user.user_id
    for no key update;
    update coupon.user_coupons g
    set use_reference = coupon.forgotten()
    where g.coupon_id = any (v_coupons) and g.user_id = forget_user.user_id and g.is_used
      and g.use_reference <> coupon.forgotten();
    exit when v_days[1000] is null;
  end loop;
  -- Those of a coupon that is being retired are not in the wallet. It may have been taken out until here.
  update coupon.user_coupons g
  set use_reference = coupon.forgotten()
  from coupon.retired_coupons r
  where r.grants_left > 0 and g.coupon_id = r.coupon_id and g.user_id = forget_user.user_id and g.is_used;
  update coupon.audit a
  set
    reason = case when a.reason is not null then coupon.forgotten() end,
    old_values = case when a.old_values ? 'use_reference' then a.old_values || v_gone else a.old_values end,
    new_values = case when a.new_values ? 'use_reference' then a.new_values || v_gone else a.new_values end
  where a.user_id = forget_user.user_id and a.command <> 'forget_user';
  outcome := 'forgotten';
  return next;
end
$$;

comment on function public.forget_user(bigint, text, text) is
  'Forgets a person, for ever: name and subjects go, and so do references of uses, reasons of uses that were taken back, and name and
subjects in other reasons. The number stays, with its grants, their positions and times, so that nothing has to be counted again.
Outcomes in order: user_not_found (there never was one), already_forgotten, forgotten. Afterwards nothing is issued to the
number and it uses nothing (user_not_found), what it holds it is told as before (already_issued), and no import makes it
again (forgotten). Waits for imports, and keeps issuing waiting for some milliseconds. reason and actor (on whose behalf) go
to the audit. Only at READ COMMITTED (else 25000). What was written before to backups, the write-ahead log, standbys and logs stays there until it is deleted.';
