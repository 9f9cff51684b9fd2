-- What schemas coupon and public hold: a row for each property of each object; the property '' says that the object is there.
-- `make` is the statement that gives the property its value, `unmake` the one that takes property or object away; null where
-- no single statement does. Nothing that a release makes is listed here: a new kind of object needs a part of its own, a new
-- object nothing. Read with an empty search_path, so that all names are qualified. What tables are made of is in
-- catalogue-tables.sql.
with ours as (
  select n.oid, n.nspname from pg_namespace n where n.nspname in ('coupon', 'public')
), grantee (oid, name) as (
  select 0, 'public' union all select r.oid, r.oid::regrole::text from pg_roles r
), relation as (
  select c.*, w.word, format('%I.%I', o.nspname, c.relname) as name, format('%s %I.%I', w.word, o.nspname, c.relname) as object
  from pg_class c join ours o on o.oid = c.relnamespace
  cross join lateral (
    select case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
      else 'table' end) w (word)
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
), routine as (
  select p.*, p.oid::regprocedure::text as name,
    case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as word
  from pg_proc p join ours o on o.oid = p.pronamespace
  -- A range has functions of its own.
  where not exists (
    select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i'))
), type as (
  select t.*, format('%I.%I', o.nspname, t.typname) as name
  from pg_type t join ours o on o.oid = t.typnamespace
  left join pg_class c on c.oid = t.typrelid
  where (t.typtype in ('e', 'd', 'r') or c.relkind = 'c')
    and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
), owned as (
  select 'pg_namespace' as class, n.oid, 'schema' as word, format('schema %I', o.nspname) as object,
    quote_ident(o.nspname) as name, n.nspowner as owner, coalesce(n.nspacl, acldefault('n', n.nspowner)) as acl
  from ours o join pg_namespace n on n.oid = o.oid
  where o.nspname = 'coupon'
  union all
  select 'pg_class', r.oid, r.word, r.object, r.name, r.relowner,
    coalesce(r.relacl, acldefault(case r.relkind when 'S' then 's' else 'r' end::"char", r.relowner))
  from relation r
  union all
  select 'pg_proc', r.oid, r.word, r.word || ' ' || r.name, r.name, r.proowner, coalesce(r.proacl, acldefault('f', r.proowner))
  from routine r
  union all
  select 'pg_type', t.oid, 'type', 'type ' || t.name, t.name, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)) from type t
), default_acl as (
  select d.defaclrole as role, d.defaclnamespace as namespace, d.defaclobjtype as kind, d.defaclacl as acl
  from pg_default_acl d
  where d.defaclnamespace in (select oid from ours) or d.defaclnamespace = 0 and d.defaclrole = 'coupon_owner'::regrole
  union all
  select 'coupon_owner'::regrole, 0, k.kind, acldefault(case k.kind when 'S' then 's' else k.kind end, 'coupon_owner'::regrole)
  from (values ('r'::"char"), ('S'), ('f'), ('T'), ('n')) k (kind)
  where not exists (
    select from pg_default_acl d
    where d.defaclrole = 'coupon_owner'::regrole and d.defaclnamespace = 0 and d.defaclobjtype = k.kind)
)

select o.object, null as relation, p.property, p.value, p.make, p.unmake
from owned o
cross join lateral (
  values
    ('', 'there', null,
      format('%sdrop %s %s', case when o.word in ('table', 'sequence') then 'if nobody needs its data: ' end, o.word, o.name)),
    ('owner', o.owner::regrole::text, format('alter %s %s owner to %s', o.word, o.name, o.owner::regrole), null),
    ('comment', coalesce(obj_description(o.oid, o.class), ''),
      format('comment on %s %s is %L', o.word, o.name, obj_description(o.oid, o.class)), null)
) p (property, value, make, unmake)

union all
select o.object, null, p.property, 'given', p.make, p.unmake
from owned o
cross join aclexplode(o.acl) a
join grantee g on g.oid = a.grantee
cross join lateral (
  select lower(a.privilege_type collate "C"), case a.grantee when o.owner then 'its owner' else g.name end,
    format('%s on %s %s', lower(a.privilege_type collate "C"), o.word, o.name)) r (name, holder, what)
cross join lateral (
  select format('right %s of %s', r.name, r.holder), format('grant %s to %s', r.what, g.name),
    format('revoke %s from %s cascade', r.what, g.name)
  union all
  select format('right to grant %s of %s', r.name, r.holder), format('grant %s to %s with grant option', r.what, g.name),
    format('revoke grant option for %s from %s cascade', r.what, g.name)
  where a.is_grantable
) p (property, make, unmake)
-- An owner from before PostgreSQL 17 lacks this one.
where a.grantee <> o.owner or a.privilege_type <> 'MAINTAIN'

-- Schema public is the database owner's. That our roles may use it is ours, and that nobody but coupon_owner may create in it.
union all
select 'schema public', null, 'right usage of ' || r.name, 'given', 'grant usage on schema public to ' || r.name, null
from (values ('coupon_owner'), ('coupon_api'), ('coupon_admin'), ('coupon_monitor')) r (name)
where has_schema_privilege(r.name, 'public', 'usage')
union all
select 'schema public', null, 'right create of ' || g.name, 'given', 'grant create on schema public to ' || g.name,
  format('revoke create on schema public from %s', g.name)
from pg_namespace n
cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
join grantee g on g.oid = a.grantee
where n.nspname = 'public' and a.privilege_type = 'CREATE'
  and g.name in ('public', 'coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor')

union all
select format('default rights on %s%s of %s', k.word, n.place, d.role::regrole), null,
  format('right %s of %s', lower(a.privilege_type collate "C"), g.name), 'given',
  format('%s grant %s on %s to %s', n.alter_them, lower(a.privilege_type collate "C"), k.word, g.name),
  format('%s revoke %s on %s from %s', n.alter_them, lower(a.privilege_type collate "C"), k.word, g.name)
from default_acl d
cross join aclexplode(d.acl) a
join grantee g on g.oid = a.grantee
join (values ('r', 'tables'), ('S', 'sequences'), ('f', 'functions'), ('T', 'types'), ('n', 'schemas')) k (kind, word)
  on k.kind = d.kind::text
cross join lateral (
  select format('alter default privileges for role %s%s', d.role::regrole, n.place), n.place
  from (select case d.namespace when 0 then '' else ' in schema ' || d.namespace::regnamespace end) n (place)) n (alter_them, place)
where a.privilege_type <> 'MAINTAIN'

union all
select 'type ' || t.name, null, p.property, p.value, p.make, null
from type t
cross join lateral (
  select 'values', string_agg(e.enumlabel, ', ' order by e.enumsortorder), null
  from pg_enum e where e.enumtypid = t.oid having count(*) > 0
  union all
  select 'attributes', string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum), null
  from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped having count(*) > 0
) p (property, value, make)

union all
select r.word || ' ' || r.name, null, p.property, p.value, p.make, p.unmake
from routine r join pg_language l on l.oid = r.prolang
cross join lateral (
  select v.property, v.value, null as make, null as unmake
  from (
    values ('text', coalesce(pg_get_function_sqlbody(r.oid), r.prosrc)), ('arguments', pg_get_function_arguments(r.oid)),
      ('result', coalesce(pg_get_function_result(r.oid), 'none')), ('language', l.lanname::text), ('kind', r.prokind::text)
  ) v (property, value)
  union all
  select v.property, v.value, format('alter function %s %s%s', r.name, v.keyword, v.value), null
  from (
    values ('security', 'security ', case when r.prosecdef then 'definer' else 'invoker' end),
      ('volatility', '', case r.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end),
      ('of a null', '', case when r.proisstrict then 'strict' else 'called on null input' end),
      ('parallel', 'parallel ', case r.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end),
      ('leaks', '', case when r.proleakproof then 'leakproof' else 'not leakproof' end),
      ('cost', 'cost ', r.procost::text), ('rows', 'rows ', nullif(r.prorows, 0)::text)
  ) v (property, keyword, value)
  where v.value is not null
  union all
  select 'setting ' || split_part(s.setting, '=', 1), regexp_replace(s.setting, '^.*?=', ''),
    format('alter function %s set %s', r.name, s.setting), format('alter function %s reset %s', r.name, split_part(s.setting, '=', 1))
  from unnest(r.proconfig) s (setting)
) p (property, value, make, unmake)

-- Operators, collations, statistics, text search and whatever else can stand in a schema: coupon has none.
union all
select format('%s %s', i.type, i.identity), null, '', 'there', null, format('drop %s %s', replace(i.type, 's object', 's'), i.identity)
from pg_depend d
cross join pg_identify_object(d.classid, d.objid, 0) i
where d.refclassid = 'pg_namespace'::regclass and d.refobjid = 'coupon'::regnamespace
  and d.classid not in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_default_acl'::regclass)
  -- Of an extension it is the one thing to say.
  and not exists (select from pg_depend e where e.classid = d.classid and e.objid = d.objid and e.deptype = 'e')

-- Settings that sessions of our roles begin with, everywhere or in this database.
union all
select format('role %s', s.setrole::regrole), null, 'setting ' || split_part(c.setting, '=', 1) || d.place, v.value,
  format('alter role %s%s set %s = %L', s.setrole::regrole, d.place, split_part(c.setting, '=', 1), v.value),
  format('alter role %s%s reset %s', s.setrole::regrole, d.place, split_part(c.setting, '=', 1))
from pg_db_role_setting s
cross join unnest(s.setconfig) c (setting)
cross join lateral (select regexp_replace(c.setting, '^.*?=', '')) v (value)
cross join lateral (
  select case when s.setdatabase <> 0 then format(' in database %I', current_database()) else '' end) d (place)
where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and s.setrole::regrole::text in ('coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor')
