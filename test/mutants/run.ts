// `npm run test:mutants`: breaks a copy of the tree in one way at a time, as table.ts lists them, and sees whether the test that is
// named there notices. `npm run test:mutants -- WORD…` takes the mutants whose names have one of the words.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { adapterEnvironment } from "../harness/adapter.ts";
import { execute } from "../package/project.ts";
import { MUTANTS, type Mutant } from "./table.ts";
import { type Result, runTests } from "./tests.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
Object.assign(process.env, adapterEnvironment());

const words = process.argv.slice(2);
const chosen = MUTANTS.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));

/** Mutants that were not killed as they should be. */
let failures = 0;
function fail({ name }: Mutant, why: string): void {
  failures++;
  console.log(`FAILED   ${name}: ${why}`);
}

/** The tree in a folder of its own, with this one's node_modules. */
async function copyTree(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "siglip-mutants-"));
  const listed = await execute("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  for (const file of listed.split("\0").filter((name) => name !== "")) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(root, file), join(folder, file));
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  await execute("npm", ["run", "generate"], { cwd: folder });
  return folder;
}

/** Why a mutant's line cannot be changed, or undefined. */
function stale({ file, find }: Mutant): string | undefined {
  if (!existsSync(join(root, file))) return `the table is stale: there is no ${file}`;
  const count = readFileSync(join(root, file), "utf8").split(find).length - 1;
  return count === 1
    ? undefined
    : `the table is stale: ${file} has ${JSON.stringify(find)} ${count} times, wanted once`;
}

/** The mutants of one test file whose tests pass on the tree as it is; of the others it is told why they are not tried. */
async function triable(mutants: readonly Mutant[], folder: string): Promise<Mutant[]> {
  const [file] = mutants[0].killedBy;
  const { cases, broken } = await runTests(folder, file, mutants.map(({ killedBy }) => killedBy[1]).join("|"));
  return mutants.filter((mutant) => {
    const [, pattern] = mutant.killedBy;
    const named = cases.filter(({ name }) => new RegExp(pattern).test(name));
    const failed = named.find(({ status }) => status === "failed");
    if (broken !== undefined) fail(mutant, `${file} does not load on the tree as it is: ${broken.split("\n")[0]}`);
    else if (named.length === 0) fail(mutant, `the table is stale: no test of ${file} is called ${pattern}`);
    else if (failed) fail(mutant, `"${failed.name}" fails on the tree as it is: ${failed.message.split("\n")[0]}`);
    else if (named.some(({ status }) => status === "passed")) return true;
    else console.log(`skipped  ${mutant.name}: its tests are skipped here`);
    return false;
  });
}

/** Why a run did not kill its mutant, or undefined: it is to be an expectation that failed, not code that does not even run. */
function survived({ cases, broken }: Result): string | undefined {
  if (broken !== undefined) return `its test does not load: ${broken.split("\n")[0]}`;
  const failed = cases.filter(({ status }) => status === "failed");
  if (failed.length === 0) return `survived ${cases.filter(({ status }) => status === "passed").length} tests`;
  const odd = failed.find(({ message }) => /^(SyntaxError|ReferenceError|TypeError)|timed out in/.test(message));
  return odd && `it fails for another reason: ${odd.message.split("\n")[0]}`;
}

/** Tries a mutant in a copy, which is then as it was. */
async function tryOne(mutant: Mutant, folder: string): Promise<void> {
  const { name, file, find, replace, killedBy } = mutant;
  const path = join(folder, file);
  const sound = readFileSync(path, "utf8");
  const start = performance.now();
  writeFileSync(
    path,
    sound.replace(find, () => replace),
  );
  const why = survived(await runTests(folder, ...killedBy));
  writeFileSync(path, sound);
  if (why) fail(mutant, why);
  else console.log(`killed   ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}

const fresh = chosen.filter((mutant) => {
  const why = stale(mutant);
  if (why) fail(mutant, why);
  return !why;
});
const byTest = [...new Set(fresh.map(({ killedBy }) => killedBy[0]))].map((test) =>
  fresh.filter(({ killedBy }) => killedBy[0] === test),
);
const folders: string[] = [];
try {
  for (let i = 0; i < Math.min(2, availableParallelism()); i++) folders.push(await copyTree());
  await Promise.all(
    folders.map(async (folder) => {
      for (let mutants = byTest.shift(); mutants; mutants = byTest.shift()) {
        for (const mutant of await triable(mutants, folder)) await tryOne(mutant, folder);
      }
    }),
  );
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
console.log(`${chosen.length} mutants, ${failures} not killed as they should be`);
process.exitCode = failures === 0 ? 0 : 1;
