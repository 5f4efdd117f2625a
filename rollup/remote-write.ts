import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { BinaryWriter } from "google-protobuf";
import { compress } from "snappyjs";

/** A value and its time, in ms since 1970. */
export interface Sample {
  time: number;
  value: number;
}

/** Samples of one series, in the order of time. */
export interface Series {
  /** Its name, `__name__`, and labels, in the order of their names. */
  labels: readonly (readonly [name: string, value: string])[];
  samples: Sample[];
}

/** Why a hub has not taken what was sent. */
export class NotTaken extends Error {
  /**
   * @param refused whether it would refuse the same again.
   * @param status 0 where it has not answered.
   * @param wait seconds after which it wants to be asked again.
   */
  constructor(
    message: string,
    readonly refused: boolean,
    readonly status = 0,
    readonly wait?: number,
  ) {
    super(message);
  }
}

/** A request of Prometheus remote write 1.0, compressed. */
export function encode(series: readonly Series[]): Buffer {
  const request = new BinaryWriter();
  for (const { labels, samples } of series)
    request.writeMessage(1, labels, () => {
      for (const [name, value] of labels)
        request.writeMessage(1, name, () => {
          request.writeString(1, name);
          request.writeString(2, value);
        });
      for (const { time, value } of samples)
        request.writeMessage(2, time, () => {
          request.writeDouble(1, value);
          request.writeInt64(2, time);
        });
    });
  return Buffer.from(compress(request.getResultBuffer()));
}

/** Answers that a hub gives to what it will never take. All others may be other ones tomorrow. */
const refusals = [400, 409, 413, 422];

/** Where samples are sent. */
export interface Hub {
  url: string;
  /** Value of the header. */
  authorization: string;
  /** Certificate of its authority, in PEM form. Default: the public ones. */
  ca?: string | undefined;
  /** Seconds that it has for an answer. Default: 30. */
  patience?: number | undefined;
}

/** A hub, as it is written to. */
export class RemoteWrite {
  private readonly agent: HttpAgent | HttpsAgent;
  private readonly url: URL;
  /** Bytes of all bodies that were sent. */
  bytes = 0;

  constructor(private readonly to: Hub) {
    this.url = new URL(to.url);
    const options = { keepAlive: true, maxSockets: 1 };
    this.agent =
      this.url.protocol === "https:"
        ? new HttpsAgent({ ...options, ...(to.ca !== undefined && { ca: to.ca }) })
        : new HttpAgent(options);
  }

  /**
   * Has samples stored.
   * @throws NotTaken
   */
  async send(series: readonly Series[], signal?: AbortSignal): Promise<void> {
    const body = encode(series);
    this.bytes += body.length;
    const { status, text, wait } = await this.post(body, signal);
    if (status >= 200 && status < 300) return;
    const refused = refusals.includes(status);
    throw new NotTaken(`the hub answered ${status}: ${text}`.trim(), refused, status, wait);
  }

  close(): void {
    this.agent.destroy();
  }

  private post(body: Buffer, signal?: AbortSignal) {
    const { authorization, patience = 30 } = this.to;
    const request = this.url.protocol === "https:" ? httpsRequest : httpRequest;
    return new Promise<{ status: number; text: string; wait: number | undefined }>(
      (resolve, reject) => {
        const fail = (why: string) => reject(new NotTaken(why, false));
        const limit = AbortSignal.timeout(patience * 1000);
        const made = request(this.url, {
          agent: this.agent,
          method: "POST",
          signal: signal ? AbortSignal.any([signal, limit]) : limit,
          headers: {
            authorization,
            "content-type": "application/x-protobuf",
            "content-encoding": "snappy",
            "content-length": body.length,
            "user-agent": "bess-telemetry",
            "x-prometheus-remote-write-version": "0.1.0",
          },
        });
        made.on("error", (error) =>
          fail(
            limit.aborted
              ? `the hub has not answered for ${patience} s`
              : `the hub is not reached: ${error.message}`,
          ),
        );
        made.on("response", (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (part: string) => {
            if (text.length < 300) text += part;
          });
          response.on("error", (error) => fail(`the hub's answer broke off: ${error.message}`));
          response.on("end", () => {
            const after = Number(response.headers["retry-after"]);
            resolve({
              status: response.statusCode ?? 0,
              text: text.replaceAll(/\s+/g, " ").slice(0, 300),
              wait: Number.isFinite(after) ? after : undefined,
            });
          });
        });
        made.end(body);
      },
    );
  }
}
