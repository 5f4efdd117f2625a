import { createInterface } from "node:readline";
import { paths } from "../configs/mosquitto";
import { type EnginePlace, quoted } from "../configs/ssh";
import { lastLine, startBesideEngine } from "./engine";

/** Exit codes of mosquitto_sub: it was ended, or its time was over. */
const ended = [0, 27];

/**
 * What a site's broker hands out, a line a message as `mosquitto_sub -F %j` writes it. The reader runs in
 * the broker's container, with a login that is nowhere else: a broker that listens on the site's loopback
 * address alone is heard too.
 * @param seconds how long.
 * @throws Error where the broker is not reached.
 */
export async function* heardAt(
  site: EnginePlace & { name: string },
  seconds: number,
  interrupt: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const subscriber = `mosquitto_sub -t # -F %j -W ${seconds}`.split(" ");
  const options = ["-e", `XDG_CONFIG_HOME=${paths.sessionClients}`, `${site.name}-mosquitto`];
  const line = ["docker", "exec", ...options, ...subscriber].map(quoted).join(" ");
  const child = startBesideEngine(site, line);
  child.stdin.end();
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const end = new Promise<number>((resolve, reject) =>
    child.once("error", reject).once("close", (code) => resolve(code ?? 0)),
  );
  // The shell may have left docker's client as its child: all of the session ends.
  interrupt.addEventListener("abort", () => child.pid && process.kill(-child.pid));
  yield* createInterface({ input: child.stdout, crlfDelay: Infinity });
  const code = await end;
  if (!ended.includes(code) && !interrupt.aborted) throw new Error(lastLine(stderr, code));
}
