import { Command } from "commander";
import { expect, it } from "vitest";
import { addCommands } from "../../src/cli/commands.ts";

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
