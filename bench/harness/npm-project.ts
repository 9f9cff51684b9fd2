/** A project of somebody else, with packages from npm: for tests of what others build on the service. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { temporaryDirectory } from "./temporary.ts";

const run = promisify(execFile);

/** Settings of this machine by which programs reach the registry: the npm of another Node.js has no file that says so. */
const OF_THE_MACHINE =
  /^(PATH|HOME|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|(https?|no)_proxy|npm_config_.*)$/i;

export interface Project {
  directory: string;
  /** Writes a file of it. */
  write: (name: string, text: string) => Promise<void>;
  /** Runs a program in it; throws with what it printed if that fails. */
  run: (program: string, args: string[], env?: NodeJS.ProcessEnv) => Promise<string>;
  /** Runs a package's command. */
  bin: (name: string, args: string[]) => Promise<string>;
}

/** An ESM project that has these packages, each one exact version or a file. None of their scripts runs. */
export async function npmProject(packages: readonly string[]): Promise<Project> {
  const directory = await temporaryDirectory();
  const project: Project = {
    directory,
    write: (name, text) => writeFile(join(directory, name), text),
    async run(program, args, env = {}) {
      const ofTheMachine = Object.entries(process.env).filter(([name]) => OF_THE_MACHINE.test(name));
      try {
        const { stdout } = await run(program, args, {
          cwd: directory,
          env: { ...Object.fromEntries(ofTheMachine), NO_COLOR: "1", ...env },
        });
        return stdout;
      } catch (error) {
        const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
        throw new Error(`${program} ${args.join(" ")}: ${(error as Error).message}\n${stdout}${stderr}`);
      }
    },
    bin: (name, args) => project.run(join(directory, "node_modules/.bin", name), args),
  };
  await project.write("package.json", JSON.stringify({ private: true, type: "module" }));
  const options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  await project.run("npm", ["install", ...options, ...packages]);
  return project;
}
