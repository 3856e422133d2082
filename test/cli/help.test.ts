import { Command } from "commander";
import { expect, it } from "vitest";
import { addCommands } from "../../src/cli/commands.ts";
import { readManifest, showManifest } from "../../src/cli/known.ts";

it("the help of every command fits a terminal of 80 columns", () => {
  const program = new Command("siglip");
  addCommands(program, new AbortController().signal);
  const all = program.commands.flatMap((command) => [command, ...command.commands]);
  expect(all.length).toBeGreaterThan(18);
  for (const command of all) {
    let text = "";
    command.configureOutput({ getOutHelpWidth: () => 80, writeOut: (part) => (text += part) });
    command.outputHelp();
    expect(text).toContain("Usage: siglip");
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
  }
});

it("the list of checkpoints shows as many columns as fit", () => {
  const [all, narrow] = [Number.POSITIVE_INFINITY, 80].map((room) => showManifest(readManifest(), room).split("\n"));
  for (const column of ["token table", "as f32", "I→T"]) expect(all[1]).toContain(column);
  expect(narrow[1].trim().split(/ {2,}/)).toEqual(["as f32", "pictures", "ImageNet"]);
  expect(narrow.slice(0, narrow.indexOf("")).filter((line) => line.length > 80)).toEqual([]);
});
