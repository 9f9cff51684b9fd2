/** The functions in public, as the catalogue has them: one that is added is fuzzed without anybody's doing. */
import type { Sql } from "../../db/connect.ts";

export interface Fn {
  name: string;
  args: { name: string; type: string; isOptional: boolean }[];
  /** Whether it answers an outcome: a command. */
  hasOutcome: boolean;
  /** Who may call it. */
  roles: string[];
}

export const ROLES = ["coupon_api", "coupon_admin"] as const;
export type Role = (typeof ROLES)[number];

export async function functionsOf(sql: Sql): Promise<Fn[]> {
  const rows = await sql`
    select
      p.proname as name,
      p.pronargs as given,
      p.pronargdefaults as optional,
      to_json(p.proargnames) as names,
      to_json(array(
        select case when y.typnamespace = 'public'::regnamespace then 'public.' else '' end || t::regtype::text
        from unnest(p.proargtypes) with ordinality a (t, i) join pg_type y on y.oid = t order by i)) as types,
      coalesce('outcome' = any (p.proargnames), false) as has_outcome,
      to_json(array(select r from unnest(${`{${ROLES.join()}}`}::text::text[]) r where has_function_privilege(r, p.oid, 'execute'))) as roles
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace
    order by p.oid::regprocedure::text`;
  return rows.map(({ name, given, optional, names, types, has_outcome, roles }) => ({
    name,
    hasOutcome: has_outcome,
    roles,
    args: (types as string[]).map((type, i) => ({ name: names[i], type, isOptional: i >= given - optional })),
  }));
}
