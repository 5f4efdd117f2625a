import * as grpc from "@grpc/grpc-js";
import {
  type ILanguageRuntimeServer,
  LanguageRuntimeService,
} from "@pulumi/pulumi/proto/language_grpc_pb";
import * as language from "@pulumi/pulumi/proto/language_pb";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";

type Sdk = typeof import("@pulumi/pulumi");

/**
 * Serves a program to Pulumi's engine, in this process: `pulumi up --client=127.0.0.1:<port>` asks
 * it for the program as it asks a language host, by the protocol of pulumi/proto/language.proto.
 * The Automation API has such a server too, but its `Stack.up` starts `pulumi` three times more, to
 * ask for the outputs and the history of the stack; that would double what an update of an
 * unchanged site takes.
 */
export class ProgramServer {
  private readonly server = new grpc.Server();
  /** What the program has left unhandled, while it runs. */
  private errors: Set<unknown> | undefined;
  /** What the program returned last, as Pulumi resolved it: secrets in plain. */
  outputs: Record<string, unknown> = {};

  constructor(
    private readonly sdk: Sdk,
    private readonly program: () => Promise<Record<string, unknown>>,
  ) {
    const service: Partial<ILanguageRuntimeServer> = {
      getRequiredPlugins: (_, answer) => answer(null, new language.GetRequiredPluginsResponse()),
      getPluginInfo: (_, answer) => answer(null, new PluginInfo().setVersion("1.0.0")),
      run: ({ request }, answer) =>
        void this.run(request).then((response) => answer(null, response)),
    };
    this.server.addService(LanguageRuntimeService, service as grpc.UntypedServiceImplementation);
  }

  /** Listens on a free port of the loopback address. @returns the port. */
  listen(): Promise<number> {
    return new Promise((done, failed) =>
      this.server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
        error ? failed(error) : done(port),
      ),
    );
  }

  close(): void {
    this.server.forceShutdown();
  }

  /**
   * Tells the engine of an error that the running program has left unhandled. One that only says
   * that the engine has gone is left out: the engine has told why by then.
   * @returns false where no program runs.
   */
  report(error: unknown): boolean {
    if (!this.errors) return false;
    if (this.errors.has(error) || isGone(error)) return true;
    this.errors.add(error);
    const { log, ResourceError, RunError } = this.sdk;
    const { message, stack = message } = error instanceof Error ? error : new Error(String(error));
    if (RunError.isInstance(error)) void log.error(message);
    else if (ResourceError.isInstance(error))
      void log.error(error.hideStack ? message : stack, error.resource);
    else void log.error(`Unhandled exception: ${stack}`);
    return true;
  }

  private async run(request: language.RunRequest): Promise<language.RunResponse> {
    const { log, output, runtime } = this.sdk;
    const [engine = ""] = request.getArgsList();
    runtime.resetOptions(
      request.getProject(),
      request.getStack(),
      request.getParallel(),
      engine,
      request.getMonitorAddress(),
      request.getDryrun(),
      request.getOrganization(),
    );
    runtime.setAllConfig(
      Object.fromEntries(request.getConfigMap().toArray()),
      request.getConfigsecretkeysList(),
    );
    const errors = (this.errors = new Set());
    try {
      await runtime.runInPulumiStack(async () => {
        const outputs = await this.program();
        output(outputs).apply((resolved) => (this.outputs = resolved));
        return outputs;
      });
      await runtime.disconnect(true);
    } catch (error) {
      this.report(error);
      await runtime.disconnect(false).catch(() => undefined);
    }
    this.errors = undefined;
    // The engine has been told of each error already: it prints nothing further for a program that
    // bails out.
    return new language.RunResponse().setBail(errors.size > 0 || log.hasErrors());
  }
}

/** Whether a call failed because the engine at its other end has ended. */
const isGone = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  (error.code === grpc.status.UNAVAILABLE || error.code === grpc.status.CANCELLED);
