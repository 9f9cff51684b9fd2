-- A number for a new user, from 2^52 on: one that no user has and none had.
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
    v_id := nextval('coupon.subjects_user_id_seq');
    exit when not exists (select from coupon.users u where u.id = v_id)
      and not exists (select from coupon.forgotten_users f where f.user_id = v_id);
  end loop;
  return v_id;
end
$$;

comment on function coupon.next_user_id() is
  'The next number of coupon.subjects that is free: an import may have given some of them to users of its own.';
