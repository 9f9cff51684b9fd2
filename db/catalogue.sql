-- What schemas coupon and public hold: a row for each property of each object; the property '' says that the object is there.
-- `make` is the statement that gives the property its value, `unmake` the one that takes property or object away; null where
-- no single statement does. Nothing that a release makes is listed here: a new kind of object needs a part of its own, a new
-- object nothing. Read with an empty search_path, so that all names are qualified.
with ours as (
  select n.oid, n.nspname from pg_namespace n where n.nspname in ('coupon', 'public')
), grantee (oid, name) as (
  select 0, 'public' union all select r.oid, r.oid::regrole::text from pg_roles r
), firing (code, word) as (
  values ('O', 'enabled'), ('D', 'disabled'), ('A', 'enabled always'), ('R', 'enabled on a replica only')
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
), column_of as (
  select a.*, r.object as relation, r.name as of, r.relkind, quote_ident(a.attname) as name,
    format('alter %s alter column %I', r.object, a.attname) as alter_it
  from pg_attribute a join relation r on r.oid = a.attrelid
  where r.relkind <> 'S' and a.attnum > 0 and not a.attisdropped
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
select r.object, null, p.property, p.value, p.make, p.unmake
from relation r
left join pg_class toast on toast.oid = r.reltoastrelid
cross join lateral (
  select 'persistence', case r.relpersistence when 'u' then 'unlogged' else 'logged' end,
    format('alter %s set %s', r.object, case r.relpersistence when 'u' then 'unlogged' else 'logged' end), null
  union all
  select 'access method', m.amname, format('alter table %s set access method %I', r.name, m.amname), null
  from pg_am m where m.oid = r.relam
  union all
  select v.property, v.value, format('alter table %s %s row level security', r.name, v.verb), null
  from (
    select 'row security', case when r.relrowsecurity then 'enabled' else 'disabled' end,
      case when r.relrowsecurity then 'enable' else 'disable' end
    union all
    select 'row security for its owner', case when r.relforcerowsecurity then 'forced' else 'not forced' end,
      case when r.relforcerowsecurity then 'force' else 'no force' end
  ) v (property, value, verb)
  union all
  select 'replica identity',
    case r.relreplident when 'd' then 'default' when 'f' then 'full' when 'n' then 'nothing' else 'an index' end,
    format('alter table %s replica identity default', r.name), null
  where r.relkind in ('r', 'p')
  union all
  select 'definition', pg_get_viewdef(r.oid), null, null where r.relkind in ('v', 'm')
  -- How often autovacuum runs is the operator's to tune; that it runs is not.
  union all
  select 'option ' || o.option_name, o.option_value, format('alter table %s set (%s = %s)', r.name, o.option_name, o.option_value),
    format('alter table %s reset (%s)', r.name, o.option_name)
  from (
    select option_name, option_value from pg_options_to_table(r.reloptions)
    union all
    select 'toast.' || option_name, option_value from pg_options_to_table(toast.reloptions)
  ) o
  where o.option_name !~ 'vacuum' or o.option_name ~ 'vacuum_enabled$'
  union all
  select format('%s %s', i.word, i.other::regclass), 'there', null,
    format('alter table if exists %s no inherit %s', i.child::regclass, i.parent::regclass)
  from (
    select 'child', inhrelid, inhrelid, inhparent from pg_inherits where inhparent = r.oid
    union all
    select 'parent', inhparent, inhrelid, inhparent from pg_inherits where inhrelid = r.oid
  ) i (word, other, child, parent)
) p (property, value, make, unmake)

union all
select r.object, null, p.property, p.value, format('alter sequence %s %s', r.name, p.clause), null
from relation r join pg_sequence s on s.seqrelid = r.oid
cross join lateral (
  values
    ('type', s.seqtypid::regtype::text, format('as %s', s.seqtypid::regtype)),
    ('start', s.seqstart::text, format('start %s', s.seqstart)),
    ('increment', s.seqincrement::text, format('increment %s', s.seqincrement)),
    ('minimum', s.seqmin::text, format('minvalue %s', s.seqmin)),
    ('maximum', s.seqmax::text, format('maxvalue %s', s.seqmax)),
    ('cache', s.seqcache::text, format('cache %s', s.seqcache)),
    ('at its end', case when s.seqcycle then 'begins again' else 'an error' end, case when s.seqcycle then 'cycle' else 'no cycle' end),
    ('column', (
      select format('%s.%I', a.attrelid::regclass, a.attname)
      from pg_depend d
      join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
      where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
        and d.deptype in ('a', 'i')), null)
) p (property, value, clause)

union all
select format('column %s.%s', c.of, c.name), c.relation, p.property, p.value, p.make, p.unmake
from column_of c left join pg_attrdef e on e.adrelid = c.attrelid and e.adnum = c.attnum
left join pg_collation l on l.oid = c.attcollation
cross join lateral (
  select '', 'there', format('alter %s add column %s %s', c.relation, c.name, format_type(c.atttypid, c.atttypmod)),
    format('if nobody needs its data: alter %s drop column %s', c.relation, c.name)
  union all
  select 'type', format_type(c.atttypid, c.atttypmod),
    format('%s type %s', c.alter_it, format_type(c.atttypid, c.atttypmod)), null
  union all
  -- What is kept plain must fit a page.
  select 'storage', g.word, format('%s set storage %s', c.alter_it, g.word), null
  from (values ('p', 'plain'), ('e', 'external'), ('m', 'main'), ('x', 'extended')) g (code, word)
  where g.code = c.attstorage::text
  union all
  select 'compression', m.word, format('%s set compression %s', c.alter_it, m.word), format('%s set compression default', c.alter_it)
  from (values ('p', 'pglz'), ('l', 'lz4')) m (code, word)
  where m.code = c.attcompression::text
  union all
  select 'option ' || o.option_name, o.option_value, format('%s set (%s = %s)', c.alter_it, o.option_name, o.option_value),
    format('%s reset (%s)', c.alter_it, o.option_name)
  from pg_options_to_table(c.attoptions) o
  union all
  -- How much of a column the planner samples is the operator's to tune; that it samples none of what a person wrote is not.
  select 'sampling', case c.attstattarget when 0 then 'off' else 'on' end,
    format('%s set statistics %s', c.alter_it, case c.attstattarget when 0 then 0 else -1 end), null
  where c.relkind in ('r', 'p', 'm', 'f')
  union all
  select 'collation', format('%I', l.collname),
    format('%s type %s collate %I', c.alter_it, format_type(c.atttypid, c.atttypmod), l.collname), null
  where l.oid is not null
  union all
  select 'null', case when not c.attnotnull then 'allowed' when n.is_valid then 'refused' else 'refused in new rows only' end,
    format('%s %s not null', c.alter_it, case when c.attnotnull then 'set' else 'drop' end), null
  from (
    select coalesce(bool_and(convalidated), true) from pg_constraint
    where conrelid = c.attrelid and contype = 'n' and conkey = array[c.attnum]
  ) n (is_valid)
  union all
  select 'comment', coalesce(col_description(c.attrelid, c.attnum), ''),
    format('comment on column %s.%s is %L', c.of, c.name, col_description(c.attrelid, c.attnum)), null
  union all
  select 'default', pg_get_expr(e.adbin, e.adrelid), format('%s set default %s', c.alter_it, pg_get_expr(e.adbin, e.adrelid)),
    c.alter_it || ' drop default'
  where e.oid is not null and c.attgenerated = ''
  union all
  select 'generated', format('(%s) %s', pg_get_expr(e.adbin, e.adrelid), case c.attgenerated when 's' then 'stored' else 'virtual' end),
    null, c.alter_it || ' drop expression'
  where c.attgenerated <> ''
  union all
  select 'identity', 'there', c.alter_it || ' add generated always as identity', c.alter_it || ' drop identity'
  where c.attidentity <> ''
  union all
  select 'ids by hand', i.word, format('%s set generated %s', c.alter_it, i.clause), null
  from (values ('a', 'refused', 'always'), ('d', 'taken', 'by default')) i (kind, word, clause)
  where c.attidentity::text = i.kind
  union all
  select format('right %s of %s', lower(a.privilege_type collate "C"), g.name),
    case when a.is_grantable then 'given, to be granted' else 'given' end,
    format('grant %s (%s) on %s to %s', lower(a.privilege_type collate "C"), c.name, c.of, g.name),
    format('revoke %s (%s) on %s from %s cascade', lower(a.privilege_type collate "C"), c.name, c.of, g.name)
  from aclexplode(c.attacl) a
  join grantee g on g.oid = a.grantee
) p (property, value, make, unmake)

union all
select format('constraint %I on %s', c.conname, r.name), r.object, p.property, p.value, p.make, p.unmake
from pg_constraint c join relation r on r.oid = c.conrelid
cross join lateral (select regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', '')) d (definition)
cross join lateral (
  values
    ('', 'there', format('alter table %s add constraint %I %s', r.name, c.conname, d.definition),
      format('alter table %s drop constraint %I', r.name, c.conname)),
    ('definition', d.definition,
      format('alter table %s drop constraint %I, add constraint %I %s', r.name, c.conname, c.conname, d.definition), null),
    ('comment', coalesce(obj_description(c.oid, 'pg_constraint'), ''),
      format('comment on constraint %I on %s is %L', c.conname, r.name, obj_description(c.oid, 'pg_constraint')), null),
    ('rows from before it', case when c.convalidated then 'checked' else 'not checked' end,
      format('alter table %s validate constraint %I', r.name, c.conname), null),
    -- Of a foreign key or a deferrable key, which PostgreSQL checks by triggers of its own.
    ('triggers', coalesce((
        select string_agg(distinct f.word, ', ')
        from pg_trigger t join firing f on f.code = t.tgenabled::text where t.tgconstraint = c.oid), 'enabled'),
      (select string_agg(distinct format('alter table %s enable trigger all', t.tgrelid::regclass), '; ')
        from pg_trigger t where t.tgconstraint = c.oid), null)
) p (property, value, make, unmake)
where c.contype in ('c', 'f', 'p', 'u', 'x')

union all
select coalesce(k.object, format('index %s on %s', i.indexrelid::regclass, r.name)), r.object, p.property, p.value, p.make, p.unmake
from pg_index i join relation r on r.oid = i.indrelid
left join lateral (
  select format('constraint %I on %s', c.conname, r.name) as object
  from pg_constraint c
  where c.conindid = i.indexrelid and c.conrelid = i.indrelid and c.contype in ('p', 'u', 'x')
) k on true
-- Of its expressions, as of columns of a table; a new index samples all.
cross join lateral (
  select string_agg(a.attname, ', ' order by a.attnum) as names,
    string_agg(format('; alter index %s alter column %s set statistics 0', i.indexrelid::regclass, a.attnum), '' order by a.attnum) as make
  from pg_attribute a
  where a.attrelid = i.indexrelid and a.attstattarget = 0
) u
cross join lateral (
  select '', 'there', pg_get_indexdef(i.indexrelid) || coalesce(u.make, ''), 'drop index ' || i.indexrelid::regclass
  where k.object is null
  union all
  select 'comment', coalesce(obj_description(i.indexrelid, 'pg_class'), ''),
    format('comment on index %s is %L', i.indexrelid::regclass, obj_description(i.indexrelid, 'pg_class')), null
  where k.object is null
  union all
  select 'index', pg_get_indexdef(i.indexrelid),
    case when k.object is null then format('drop index %s; %s', i.indexrelid::regclass, pg_get_indexdef(i.indexrelid) || coalesce(u.make, '')) end, null
  union all
  select 'not sampled', u.names, substr(u.make, 3), replace(substr(u.make, 3), 'statistics 0', 'statistics -1')
  where u.names is not null
  union all
  select 'state of its index', case when i.indisvalid and i.indisready and i.indislive then 'valid' else 'invalid' end,
    'reindex index ' || i.indexrelid::regclass, null
) p (property, value, make, unmake)

union all
select format('trigger %I on %s', t.tgname, r.name), r.object, p.property, p.value, p.make, p.unmake
from pg_trigger t join firing f on f.code = t.tgenabled::text
join relation r on r.oid = t.tgrelid
cross join lateral (
  values
    ('', 'there', pg_get_triggerdef(t.oid), format('drop trigger %I on %s', t.tgname, r.name)),
    ('definition', pg_get_triggerdef(t.oid), format('drop trigger %I on %s; %s', t.tgname, r.name, pg_get_triggerdef(t.oid)), null),
    ('state', f.word, format('alter table %s enable trigger %I', r.name, t.tgname), null)
) p (property, value, make, unmake)
where not t.tgisinternal

-- We have neither rules nor policies: that one is there says enough.
union all
select format('rule %I on %s', w.rulename, r.name), r.object, '', 'there', null, format('drop rule %I on %s', w.rulename, r.name)
from pg_rewrite w join relation r on r.oid = w.ev_class
where r.relkind not in ('v', 'm')
union all
select format('policy %I on %s', y.polname, r.name), r.object, '', 'there', null, format('drop policy %I on %s', y.polname, r.name)
from pg_policy y join relation r on r.oid = y.polrelid

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
