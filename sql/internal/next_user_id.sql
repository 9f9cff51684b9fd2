-- A number for a new user, from 2^52 to 2^53 - 1: one that no user has and none had.
--
-- It is drawn at random. A sequence goes back with a restore to a moment, or a failover that loses commits: then the number of a user
-- who was lost would be the next one's, while servers go on knowing the lost one's token by it.
create or replace function coupon.next_user_id()
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id bigint;
begin
  loop
    v_id := 4503599627370496 + floor(random() * 4503599627370496)::bigint;
    exit when not exists (select from coupon.users u where u.id = v_id)
      and not exists (select from coupon.forgotten_users f where f.user_id = v_id);
  end loop;
  return v_id;
end
$$;

comment on function coupon.next_user_id() is
  'A number that is free, drawn at random from 2^52 on: what a restore has lost is given to nobody else.';
