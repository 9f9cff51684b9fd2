import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { resolveBinary } from "dbmate";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { bin, options } from "../bench/harness/debian.ts";
import { allVersions, rows, SCHEMA_VERSIONS, type Shop, startShop, stock } from "../bench/harness/shop.ts";
import { temporaryDirectory } from "../bench/harness/temporary.ts";
import { SOURCES, setUp } from "./setup.ts";
import type { Target } from "./target.ts";

after(cleanUp);

let shared: Promise<Shop> | undefined;
function server(): Promise<Shop> {
  shared ??= startShop();
  return shared;
}

const functions = "select count(*)::integer from pg_proc where pronamespace = 'public'::regnamespace";

async function copyOf(source: string): Promise<string> {
  const copy = join(await temporaryDirectory(), "copy");
  await fs.cp(source, copy, { recursive: true });
  return copy;
}

test("a migration that fails: named, and nothing of it is left", options, async () => {
  const { newDatabase } = await server();
  const target = await newDatabase("migration");
  const migrations = await copyOf(SOURCES.migrations);
  const broken = join(migrations, "29990101000000_broken.sql");
  const up = "-- migrate:up\ncreate table coupon.half (id integer);\n";
  await fs.writeFile(broken, `${up}creat table coupon.other_half (id integer);\n-- migrate:down\n`);
  const failure = {
    message: 'db/migrations/29990101000000_broken.sql:3: syntax error at or near "creat" (42601)',
  };
  for (let run = 1; run <= 2; run++) {
    await assert.rejects(
      setUp(target, () => {}, { migrations }),
      failure,
    );
    assert.deepEqual(await rows(target, SCHEMA_VERSIONS), await allVersions());
    assert.deepEqual(await rows(target, "select to_regclass('coupon.half')::text"), [[null]]);
    assert.deepEqual(await rows(target, functions), [[0]], "no function on half a schema");
  }
  await fs.writeFile(broken, `${up}-- migrate:down\n`);
  await setUp(target, () => {}, { migrations });
  assert.deepEqual(await rows(target, "select to_regclass('coupon.half')::text"), [["coupon.half"]]);
});

test("a function file that fails: named with its line, and no function is replaced", options, async () => {
  const { newDatabase } = await server();
  const target = await newDatabase("functions");
  const sources = { functions: await copyOf(SOURCES.functions) };
  const file = join(sources.functions, "wallet.sql");
  const right = await fs.readFile(file, "utf8");
  const wrongs: Record<string, string> = {
    [`-- one\n\nselect 1 as;\n${right}`]: 'sql/wallet.sql:3: syntax error at or near ";"',
    [`${right}\nselect no_such();`]: `sql/wallet.sql:${right.split("\n").length + 1}: function no_such() does not exist`,
  };
  for (const [wrong, message] of Object.entries(wrongs)) {
    await fs.writeFile(file, wrong);
    await assert.rejects(
      setUp(target, () => {}, sources),
      { message },
    );
    assert.deepEqual(await rows(target, functions), [[0]], "on a new database there is none");
  }

  await setUp(target);
  const before = await rows(
    target,
    `${functions} union all select xmin::text::integer from pg_proc where proname ~ 'coupon'`,
  );
  assert.ok((before[0]?.[0] as number) > 15);
  await assert.rejects(setUp(target, () => {}, sources));
  assert.deepEqual(
    await rows(
      target,
      `${functions} union all select xmin::text::integer from pg_proc where proname ~ 'coupon'`,
    ),
    before,
    "on an old one there are the old ones",
  );
});

/** The database as statements, without what differs from run to run. */
async function dump({ url }: Target): Promise<string> {
  const { stdout } = await promisify(execFile)(join(bin, "pg_dump"), ["--schema-only", url]);
  return stdout.replace(/^\\(un)?restrict .*$/gm, "");
}

test("migrations go down one by one, and up again to the same schema", options, async () => {
  const { newDatabase, superuser } = await server();
  const target = await newDatabase("down");
  // Without the functions, which depend on the types: they are replaced as a whole after every migration anyway.
  const empty = await copyOf(SOURCES.functions);
  await fs.writeFile(join(empty, "manifest.txt"), "");
  const dumps: string[] = [];
  const migrations = await temporaryDirectory();
  const files = (await fs.readdir(SOURCES.migrations)).sort();
  for (const file of files) {
    await fs.copyFile(join(SOURCES.migrations, file), join(migrations, file));
    await setUp(target, () => {}, { functions: empty, migrations });
    dumps.push(await dump(superuser.on("down")));
  }
  assert.equal(new Set(dumps).size, files.length, "each migration changes the schema");

  const rollback = () =>
    promisify(execFile)(
      resolveBinary(),
      [
        "-d",
        SOURCES.migrations,
        "--migrations-table",
        "coupon.schema_migrations",
        "--no-dump-schema",
        "rollback",
      ],
      {
        env: {
          ...process.env,
          DATABASE_URL: target.migrationUrl(false, { role: "coupon_owner" }),
        },
      },
    );
  for (let left = files.length - 1; left > 0; left--) {
    await rollback();
    assert.deepEqual(await rows(target, SCHEMA_VERSIONS), (await allVersions()).slice(0, left));
    assert.equal(await dump(superuser.on("down")), dumps[left - 1], `down to ${files[left - 1]}`);
  }
  await rollback();
  assert.deepEqual(await rows(target, SCHEMA_VERSIONS), [], "down to zero");
  assert.deepEqual(
    await rows(
      target,
      "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'coupon'::regnamespace",
    ),
    [["coupon.schema_migrations"]],
  );

  await setUp(target, () => {}, { functions: empty });
  assert.equal(await dump(superuser.on("down")), dumps.at(-1), "up again");
  await setUp(target);
  await stock(target);
  assert.deepEqual(await rows(target.as("coupon_admin"), "select outcome from issue_coupon(1, 1)"), [
    ["issued"],
  ]);
});
