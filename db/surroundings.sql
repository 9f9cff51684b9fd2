-- What no file of a release makes and what has to hold all the same: the roles' attributes and members, rights and limits of
-- the database, settings, and what others may have hung onto our tables and types. A row for each thing that is wrong, with
-- what to do. $1: how many connections the server opens.
with ours as (
  select r.*, r.oid::regrole::text as name,
    r.rolname in ('coupon_api', 'coupon_admin') as is_login
  from pg_roles r
  where r.rolname in ('coupon_owner', 'coupon_api', 'coupon_admin', 'coupon_monitor')
), here as (
  select d.* from pg_database d where d.datname = current_database()
), holder (oid, name) as (
  select 0, 'public' union all select o.oid, o.name from ours o
), of_all as (
  -- What is set for everybody, here or everywhere. It is kept as somebody wrote it.
  select distinct on (1)
    split_part(c.setting, '=', 1) as name, regexp_replace(c.setting, '^.*?=', '') as value,
    case r.setdatabase when 0 then 'role all' else format('database %I', current_database()) end as place
  from pg_db_role_setting r
  cross join unnest(r.setconfig) c (setting)
  where r.setrole = 0 and r.setdatabase in (0, (select h.oid from here h))
  order by 1, r.setdatabase desc
), setting as (
  -- The same, or else what this session begins with.
  select s.name,
    case when d.value is null then s.setting
      when s.vartype = 'bool' or s.name = 'synchronous_commit' and d.value ~* '^(true|false|yes|no|1|0)$'
        then case when d.value::boolean then 'on' else 'off' end
      else lower(d.value) end as value, s.boot_val as first_value,
    case when d.place is not null then format('alter %s reset %s', d.place, s.name)
      when s.source = 'user' then format('alter role %I reset %s', session_user, s.name)
      when s.source = 'database user' then format('alter role %I in database %I reset %s', session_user, current_database(), s.name)
      else format('alter system reset %s, and see the configuration of PostgreSQL', s.name) end as fix
  from pg_settings s
  left join of_all d on d.name = s.name
)

select format('role %s: %s is %s, should be %s', o.name, a.attribute,
    case when a.value then 'on' else 'off' end, case when a.wanted then 'on' else 'off' end) as what,
  format('alter role %s %s%s', o.name, case when not a.wanted then 'no' end, a.attribute) as todo
from ours o
cross join lateral (
  values ('superuser', o.rolsuper, false), ('createrole', o.rolcreaterole, false), ('createdb', o.rolcreatedb, false),
    ('replication', o.rolreplication, false), ('bypassrls', o.rolbypassrls, false), ('inherit', o.rolinherit, true),
    ('login', o.rolcanlogin, o.is_login)
) a (attribute, value, wanted)
where a.value <> a.wanted

union all
select format('%s: connection limit is %s, should be none or at least %s', l.object, l.is_at, l.needed),
  format('alter %s connection limit -1', l.object)
from (
  select 'role ' || o.name, o.rolconnlimit, case o.name when 'coupon_api' then $1::integer else 1 end from ours o where o.is_login
  union all
  select format('database %I', h.datname), h.datconnlimit, $1::integer from here h
) l (object, is_at, needed)
where l.is_at >= 0 and l.is_at < l.needed
union all
select format('max_connections leaves %s connections, should be at least %s', c.usable, $1::integer),
  'give PostgreSQL more in its configuration, and restart it'
from (
  select sum(case s.name when 'max_connections' then s.setting::integer else -s.setting::integer end)
  from pg_settings s
  where s.name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
) c (usable)
where c.usable < $1::integer

union all
select format('role %s: its password ends at %s, should not end', o.name, o.rolvaliduntil),
  format('alter role %s valid until ''infinity''', o.name)
from ours o
where o.rolvaliduntil < 'infinity'

union all
select format('role %s is a member of %s, should not be', o.name, m.roleid::regrole),
  format('revoke %s from %s', m.roleid::regrole, o.name)
from pg_auth_members m
join ours o on o.oid = m.member
where (o.name, m.roleid::regrole::text) <> ('coupon_admin', 'coupon_monitor')

union all
select distinct 'role coupon_admin may make others members of coupon_monitor, should not',
  'revoke admin option for coupon_monitor from coupon_admin'
from pg_auth_members m
where m.member = 'coupon_admin'::regrole and m.roleid = 'coupon_monitor'::regrole and m.admin_option

union all
select 'role coupon_admin lacks the rights of coupon_monitor', 'grant coupon_monitor to coupon_admin'
where not pg_has_role('coupon_admin', 'coupon_monitor', 'usage')

union all
select format('role %s may not connect to the database, should be allowed to', o.name),
  format('grant connect on database %I to %s', current_database(), o.name)
from ours o
where not has_database_privilege(o.oid, current_database(), 'connect')

union all
select 'role coupon_owner may not create in the database, should be allowed to',
  format('grant create on database %I to coupon_owner', current_database())
where not has_database_privilege('coupon_owner', current_database(), 'create')

union all
select format('role coupon_owner may not use language %I, should be allowed to', l.lanname),
  format('grant usage on language %I to coupon_owner', l.lanname)
from pg_language l
where l.lanname in ('sql', 'plpgsql') and not has_language_privilege('coupon_owner', l.oid, 'usage')

-- What our functions ask of PostgreSQL itself: everybody may, unless somebody took that away.
union all
select format('%s: right %s of coupon_owner is none, should be given', g.object, g.privilege),
  format('grant %s on %s to coupon_owner', g.privilege, g.object)
from (
  select 'execute', 'function ' || p.oid::regprocedure, p.proname
  from pg_proc p
  where p.pronamespace = 'pg_catalog'::regnamespace and not has_function_privilege('coupon_owner', p.oid, 'execute')
  union all
  select 'select', 'table ' || c.oid::regclass, c.relname
  from pg_class c
  where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v') and not has_table_privilege('coupon_owner', c.oid, 'select')
) g (privilege, object, name)
where exists (
  select from pg_proc o
  where o.proowner = 'coupon_owner'::regrole and coalesce(pg_get_function_sqlbody(o.oid), o.prosrc) ~ format('\m%s\M', g.name))

-- Who owns the database may drop it. Who may set a parameter may switch triggers off for its session.
union all
select format('database %I: owner is %s, should be none of our roles', h.datname, o.name),
  format('alter database %I owner to %I', h.datname, session_user)
from here h
join ours o on o.oid = h.datdba and o.name <> 'coupon_owner'
union all
select format('%s: %s %s of %s is given, should be none', r.object,
    case when r.is_wrong then 'right' else 'right to grant' end, lower(r.privilege collate "C"), g.name),
  format('revoke %s%s on %s from %s cascade', case when not r.is_wrong then 'grant option for ' end, lower(r.privilege collate "C"), r.object, g.name)
from (
  select format('database %I', h.datname), a.grantee, a.privilege_type,
    a.privilege_type = 'CREATE' and a.grantee <> 'coupon_owner'::regrole, a.is_grantable
  from here h cross join aclexplode(h.datacl) a
  where a.grantee <> h.datdba
  union all
  select format('parameter %s', p.parname), a.grantee, a.privilege_type, true, false
  from pg_parameter_acl p cross join aclexplode(p.paracl) a
) r (object, grantee, privilege, is_wrong, is_grantable)
join holder g on g.oid = r.grantee
where r.is_wrong or r.is_grantable

-- Who sets up is a member of all four, makes roles, or owns the database.
union all
select format('role %s is a member of coupon_owner and may do everything, should not be', m.member::regrole),
  format('revoke coupon_owner from %s', m.member::regrole)
from pg_auth_members m
join pg_roles r on r.oid = m.member
where m.roleid = 'coupon_owner'::regrole and not r.rolsuper and not r.rolcreaterole
  and r.oid <> (select h.datdba from here h)
  and m.member not in (select oid from ours)
  and (select count(*) from ours o join pg_auth_members a on a.roleid = o.oid and a.member = r.oid) < 4

union all
select format('setting %s is %s, should be %s', s.name, s.value, w.value), s.fix
from setting s
join (
  values ('fsync', 'on'), ('full_page_writes', 'on'), ('zero_damaged_pages', 'off'), ('ignore_checksum_failure', 'off'),
    ('session_replication_role', 'origin'), ('default_transaction_isolation', 'read committed'),
    ('default_transaction_read_only', 'off'), ('autovacuum', 'on'), ('track_counts', 'on'), ('track_activities', 'on'), ('row_security', 'on'),
    ('plpgsql.variable_conflict', 'error'), ('exit_on_error', 'off')
) w (name, value) on w.name = s.name
where s.value <> w.value
union all
-- Whom it makes of our logins: nobody but who may act as that role is it then.
select format('setting role is %s, should be none', d.value), format('alter %s reset role', d.place)
from of_all d
where d.name = 'role' and exists (
  select from ours o where o.is_login and o.oid <> to_regrole(quote_ident(d.value)) and pg_has_role(o.oid, to_regrole(quote_ident(d.value)), 'member'))
union all
-- Left over from somebody's trial: plans of every call are others then.
select format('setting %s is off, should be on', s.name), s.fix
from setting s
where s.name like 'enable\_%' and s.first_value = 'on' and s.value = 'off'
union all
select 'setting synchronous_commit is off, should be on', s.fix
from setting s
where s.name = 'synchronous_commit' and s.value = 'off'
union all
select 'setting client_min_messages is error, should be warning', s.fix
from setting s
where s.name = 'client_min_messages' and s.value = 'error'

union all
select format('database %I: encoding is %s, should be UTF8', h.datname, pg_encoding_to_char(h.encoding)),
  'make another one with encoding ''UTF8'''
from here h
where pg_encoding_to_char(h.encoding) <> 'UTF8'

union all
select format('database %I: is_template is on, should be off: whoever may create databases may copy it', h.datname),
  format('alter database %I is_template false', h.datname)
from here h
where h.datistemplate
-- PostgreSQL warns of it at each connection. Its indexes may be sorted by other rules than those that it goes by now.
union all
select format('database %I: its indexes are of collation version %s, this system has %s', h.datname, h.datcollversion, v.actual),
  format('reindex database %I; alter database %1$I refresh collation version', h.datname)
from here h
cross join lateral pg_database_collation_actual_version(h.oid) v (actual)
where h.datcollversion <> v.actual

union all
select format('event trigger %I at %s is not of this release', e.evtname, e.evtevent), format('drop event trigger %I', e.evtname)
from pg_event_trigger e
where not exists (
  select from pg_depend d where d.classid = 'pg_event_trigger'::regclass and d.objid = e.oid and d.deptype = 'e')

union all
select distinct format('publication %I sends tables of ours, is not of this release', p.pubname),
  format('if nobody subscribes to it: drop publication %I', p.pubname)
from pg_publication_tables p
where p.schemaname = 'coupon'

union all
select format('subscription %I may write tables of ours past their triggers, is not of this release', s.subname),
  format('if nothing more comes by it: drop subscription %I', s.subname)
from pg_subscription s
where s.subdbid = (select h.oid from here h)

-- They do what coupon_owner may do, for whoever may call or read them. Those in schemas of ours stand in the catalogue.
union all
select format('%s %s has the rights of coupon_owner, is not of this release', i.type, i.identity), format('drop %s %s', i.type, i.identity)
from pg_shdepend d
cross join lateral pg_identify_object(d.classid, d.objid, 0) i
where d.dbid = (select h.oid from here h) and d.refclassid = 'pg_authid'::regclass and d.refobjid = 'coupon_owner'::regrole and d.deptype = 'o'
  and i.type in ('function', 'procedure', 'view', 'materialized view') and i.schema not in ('coupon', 'public')

-- By it somebody else's rows keep ours from being withdrawn or retired.
union all
select format('constraint %I on %I.%I refers to coupon.%I, is not of this release', c.conname, n.nspname, t.relname, o.relname),
  format('alter table %I.%I drop constraint %I', n.nspname, t.relname, c.conname)
from pg_constraint c
join pg_class o on o.oid = c.confrelid and o.relnamespace = to_regnamespace('coupon')
join pg_class t on t.oid = c.conrelid and t.relnamespace <> o.relnamespace
join pg_namespace n on n.oid = t.relnamespace
where c.contype = 'f' and c.conparentid = 0

-- Casts, operators and operator classes decide what a statement means, wherever they stand.
union all
-- By a cast between types of PostgreSQL's own that it makes by itself, such as from integer to text, a statement may have two meanings.
select format('%s %s is not of this release', i.type, i.identity), format('if nobody needs it: drop %s %s', i.type, i.identity)
from pg_cast c
cross join lateral pg_identify_object('pg_cast'::regclass, c.oid, 0) i
where c.oid >= 16384 and c.castcontext = 'i' and c.castsource < 16384 and c.casttarget < 16384
union all
select distinct format('%s %s is not of this release', i.type, i.identity), format('drop %s %s', i.type, i.identity)
from pg_type t
join pg_depend d on d.refclassid = 'pg_type'::regclass and d.refobjid = t.oid and d.deptype = 'n'
cross join lateral pg_identify_object(d.classid, d.objid, 0) i
where t.typowner = 'coupon_owner'::regrole and t.typnamespace::regnamespace::text in ('coupon', 'public')
  and d.classid in ('pg_cast'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_transform'::regclass)

order by 1
