-- migrate:up

-- On an empty path a type is still looked for in the session's temporary schema first: a caller's own "date", with a check that calls
-- what it likes, would run with the owner's rights. Named last, that schema comes last.
alter function coupon.check_new_grants() set search_path = pg_catalog, pg_temp;
alter function coupon.check_issued_equals_grants() set search_path = pg_catalog, pg_temp;
alter function coupon.refuse_change() set search_path = pg_catalog, pg_temp;
alter function coupon.check_use() set search_path = pg_catalog, pg_temp;
alter function coupon.check_audit() set search_path = pg_catalog, pg_temp;
alter function coupon.check_use_is_undone() set search_path = pg_catalog, pg_temp;
alter function coupon.check_leases() set search_path = pg_catalog, pg_temp;

-- migrate:down

alter function coupon.check_new_grants() set search_path = '';
alter function coupon.check_issued_equals_grants() set search_path = '';
alter function coupon.refuse_change() set search_path = '';
alter function coupon.check_use() set search_path = '';
alter function coupon.check_audit() set search_path = '';
alter function coupon.check_use_is_undone() set search_path = '';
alter function coupon.check_leases() set search_path = '';
