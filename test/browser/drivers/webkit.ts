import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { end, noDisplay, startDisplay } from "./display.ts";
import { type BrowserKind, browserEnvironment, type DrivenPage, findProgram } from "./driver.ts";
import { temporaryFolder } from "./temporary.ts";

const driver = findProgram("WebKitWebDriver");

/** What WebDriver calls an element in JSON. [WebDriver, 12.2] */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** The key of that name. [WebDriver, 17.4.2] */
const ENTER = "\ue007";

/** Debian's WebKitGTK: its MiniBrowser on a display of its own, by WebDriver's plain HTTP requests. */
export const webkit: BrowserKind = {
  missing: driver ? noDisplay : "no WebKitWebDriver is installed",
  async start() {
    const home = temporaryFolder("webkit");
    const display = await startDisplay();
    const port = await freePort();
    const env = { ...browserEnvironment(home.path), DISPLAY: display.name, MESA_SHADER_CACHE_DISABLE: "true" };
    const process = spawn(driver!, [`--port=${port}`], { env, stdio: "ignore" });
    const session = await openSession(`http://127.0.0.1:${port}`);
    return {
      version: `WebKitGTK ${session.version}`,
      async openPage() {
        const { handle } = (await session.send("POST", "window/new", { type: "window" })) as { handle: string };
        return drivenPage(session, handle);
      },
      async [Symbol.asyncDispose]() {
        await session.send("DELETE", "").catch(() => {});
        await end(process);
        await display[Symbol.asyncDispose]();
        await home.remove();
      },
    };
  },
};

interface Session {
  readonly version: string;
  /** The value that a command of the session answers with; its error otherwise. */
  send(method: "GET" | "POST" | "DELETE", command: string, body?: unknown): Promise<unknown>;
}

async function openSession(driver: string): Promise<Session> {
  const capabilities = { alwaysMatch: { timeouts: { script: 600_000, pageLoad: 120_000 } } };
  for (let tries = 1; ; tries++) {
    // The driver listens a moment after its start.
    const answer = await request(`${driver}/session`, "POST", { capabilities }).catch((error) => {
      if (tries === 100 || !(error instanceof TypeError)) throw error;
    });
    if (answer) {
      const { sessionId, capabilities } = answer as { sessionId: string; capabilities: { browserVersion: string } };
      return {
        version: capabilities.browserVersion,
        send: (method, command, body) => request(`${driver}/session/${sessionId}/${command}`, method, body),
      };
    }
    await sleep(100);
  }
}

async function request(url: string, method: string, body: unknown = {}): Promise<unknown> {
  const response = await fetch(url.replace(/\/$/, ""), {
    method,
    body: method === "POST" ? JSON.stringify(body) : undefined,
  });
  const { value } = (await response.json()) as { value: { error?: string; message?: string } | null };
  if (!response.ok) throw new Error(`WebDriver: ${value?.error}: ${value?.message}`);
  return value;
}

/** One of the session's windows, which is made the present one before each command. */
function drivenPage(session: Session, handle: string): DrivenPage {
  const post = async (command: string, body: unknown = {}) => {
    await session.send("POST", "window", { handle });
    return session.send("POST", command, body);
  };
  const element = async (selector: string) => {
    const found = await post("element", { using: "css selector", value: selector });
    return (found as { [ELEMENT]: string })[ELEMENT];
  };
  return {
    goto: async (url) => void (await post("url", { url })),
    async evaluate(body, argument) {
      const script = `
        const done = arguments[arguments.length - 1];
        Promise.resolve(arguments[0]).then(${body}).then(
          (value) => done({ value }),
          (error) => done({ error: String(error?.stack ?? error) + " " + error }),
        );`;
      const answer = await post("execute/async", { script, args: [argument] });
      const { value, error } = answer as { value: never; error?: string };
      if (error !== undefined) throw new Error(error);
      return value;
    },
    click: async (selector) => void (await post(`element/${await element(selector)}/click`)),
    async fill(selector, text) {
      const id = await element(selector);
      await post(`element/${id}/clear`);
      await post(`element/${id}/value`, { text: text.replaceAll("\n", ENTER) });
    },
    async screenshot(path) {
      await session.send("POST", "window", { handle });
      writeFileSync(path, (await session.send("GET", "screenshot")) as string, "base64");
    },
    async close() {
      await session.send("POST", "window", { handle });
      await session.send("DELETE", "window");
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
