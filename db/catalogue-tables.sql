-- What the tables of schemas coupon and public are made of, and their views and sequences: rows as in catalogue.sql.
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
), column_of as (
  select a.*, r.object as relation, r.name as of, r.relkind, quote_ident(a.attname) as name,
    format('alter %s alter column %I', r.object, a.attname) as alter_it
  from pg_attribute a join relation r on r.oid = a.attrelid
  where r.relkind <> 'S' and a.attnum > 0 and not a.attisdropped
)

select r.object, null as relation, p.property, p.value, p.make, p.unmake
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
