import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryFolder } from "./programs";

/** What the browser answers, or tells by itself. */
interface Message {
  id?: number;
  method?: string;
  sessionId?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/** Debian's Chromium; undefined where it is missing. */
export const chromium = (): string | undefined =>
  (process.env.PATH ?? "")
    .split(delimiter)
    .flatMap((folder) => ["chromium", "google-chrome"].map((name) => join(folder, name)))
    .find(existsSync);

/** What a page looks like. */
export interface Look {
  width: number;
  /** Height to begin with, in pixels: a page that is longer is shown whole. */
  height: number;
}

/**
 * How long nothing may be on its way for a page to be complete, in ms; how long a request may take, for
 * of some the end is not told; and how long all is waited for.
 */
const [quiet, slowest, longest] = [2500, 15_000, 90_000];

/** A browser without a window, over its debugging pipe. */
export class Chromium {
  private readonly folder = temporaryFolder();
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, (message: Message) => void>();
  /** When each request began that is on its way. */
  private readonly underWay = new Map<string, number>();
  private changed = 0;
  private last = 0;

  /** @throws Error where it is missing. */
  constructor() {
    const command = chromium();
    if (!command) throw new Error("chromium is missing: install Debian's package chromium");
    this.child = spawn(
      command,
      [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--remote-debugging-pipe",
        `--user-data-dir=${this.folder.path}`,
      ],
      { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
    );
    let rest = "";
    (this.child.stdio[4] as Readable).setEncoding("utf8").on("data", (data: string) => {
      const messages = (rest + data).split("\0");
      rest = messages.pop() ?? "";
      for (const text of messages) this.take(JSON.parse(text) as Message);
    });
  }

  /** Answers of the pages that were no success, in words; emptied by whoever reads it. */
  readonly refused: string[] = [];

  private take({ id, method, params, ...rest }: Message): void {
    if (id !== undefined) {
      this.waiting.get(id)?.(rest);
      this.waiting.delete(id);
      return;
    }
    const request = String(params?.requestId);
    if (method === "Network.requestWillBeSent") this.underWay.set(request, Date.now());
    else if (method === "Network.loadingFinished" || method === "Network.loadingFailed")
      this.underWay.delete(request);
    else if (method === "Network.responseReceived") this.look(request, params, rest.sessionId);
    else return;
    this.changed = Date.now();
  }

  private look(requestId: string, params: Message["params"], sessionId?: string): void {
    const { status = 0, url = "" } = (params?.response ?? {}) as { status?: number; url?: string };
    if (status < 400) return;
    this.send("Network.getResponseBody", { requestId }, sessionId).then(
      ({ body }) =>
        this.refused.push(`${status} ${new URL(url).pathname}: ${String(body).slice(0, 300)}`),
      () => this.refused.push(`${status} ${new URL(url).pathname}`),
    );
  }

  private async send(
    method: string,
    params: object = {},
    sessionId?: string,
  ): Promise<Record<string, unknown>> {
    const id = ++this.last;
    const answer = new Promise<Message>((resolve) => this.waiting.set(id, resolve));
    const message = { id, method, params, ...(sessionId !== undefined && { sessionId }) };
    (this.child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    const { result, error } = await answer;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  /**
   * Opens a page, and waits until nothing is on its way any more.
   * @param authorization what is sent with each request.
   */
  async open(url: string, authorization: string, look: Look): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const send = (method: string, params?: object) => this.send(method, params, String(sessionId));
    const page = new Page(
      send,
      () => this.settled(),
      () => this.send("Target.closeTarget", { targetId }),
    );
    this.underWay.clear();
    await send("Network.enable");
    await send("Network.setExtraHTTPHeaders", { headers: { Authorization: authorization } });
    await page.resize(look);
    await send("Page.navigate", { url });
    await this.settled();
    return page;
  }

  private async settled(): Promise<void> {
    this.changed = Date.now();
    const end = Date.now() + longest;
    const isBusy = () =>
      Date.now() - this.changed < quiet ||
      [...this.underWay.values()].some((began) => Date.now() - began < slowest);
    while (Date.now() < end && isBusy()) await sleep(100);
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill();
    await gone;
    this.folder.remove();
  }
}

type Send = (method: string, params?: object) => Promise<Record<string, unknown>>;

/** A page of the browser. */
class Page {
  constructor(
    private readonly send: Send,
    private readonly settled: () => Promise<void>,
    readonly close: () => Promise<unknown>,
  ) {}

  /** Waits until it is complete in its new size, too. */
  async resize({ width, height }: Look): Promise<void> {
    const size = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.send("Emulation.setDeviceMetricsOverride", size);
    await this.settled();
  }

  /** Value of an expression in JavaScript. */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.send("Runtime.evaluate", { expression, returnByValue: true });
    return (result as { value?: unknown } | undefined)?.value;
  }

  /** A picture of it, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(String(data), "base64");
  }
}
