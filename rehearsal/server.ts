import * as grpc from "@grpc/grpc-js";
import * as plugin from "@pulumi/pulumi/proto/plugin_pb";
import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import {
  type IResourceProviderServer,
  ResourceProviderService,
} from "@pulumi/pulumi/proto/provider_grpc_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { type JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";
import type { Context, Made, Provider } from "./provider";
import { answerOf, difference, kindOf, made, planned, plannedUpdate, typeOf } from "./provider";
import { changes, reveal, type Values } from "./wire";

const bag = (struct?: Struct): Values => (struct?.toJavaScript() ?? {}) as Values;
const struct = (values: Values) =>
  Struct.fromJavaScript(values as { [key: string]: JavaScriptValue });

/** Answers a call of the engine with what `work` returns, or with its error. */
const answering =
  <Request, Response>(
    work: (request: Request, peer: string) => Response | Promise<Response>,
  ): grpc.handleUnaryCall<Request, Response> =>
  (call, callback) =>
    Promise.resolve()
      .then(() => work(call.request, call.getPeer()))
      .then(
        (response) => callback(null, response),
        (error: Error) =>
          callback(
            "code" in error
              ? (error as grpc.ServiceError)
              : { code: grpc.status.UNKNOWN, details: error.message },
          ),
      );

/**
 * Serves one rehearsed provider to any number of engines. An engine opens one connection for each instance of the
 * provider that a program makes, and so a connection stands for its configuration.
 */
export class ProviderServer {
  private readonly server = new grpc.Server();
  private readonly instances = new Map<string, Values>();

  constructor(
    private readonly provider: Provider,
    private readonly site: Omit<Context, "config">,
  ) {
    this.server.addService(
      ResourceProviderService,
      this.service() as grpc.UntypedServiceImplementation,
    );
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

  private service(): Partial<IResourceProviderServer> {
    return {
      attach: answering(() => new Empty()),
      getPluginInfo: answering(() => new plugin.PluginInfo().setVersion(this.provider.version)),
      checkConfig: answering((request: rpc.CheckRequest) =>
        new rpc.CheckResponse().setInputs(request.getNews()),
      ),
      diffConfig: answering((request: rpc.DiffRequest) => {
        const found = changes(bag(request.getOldInputs()), bag(request.getNews()));
        return diffResponse(found.map((change) => ({ ...change, replaces: false })));
      }),
      configure: answering((request: rpc.ConfigureRequest, peer) =>
        this.configure(bag(request.getArgs()), peer),
      ),
      check: answering((request: rpc.CheckRequest) =>
        new rpc.CheckResponse().setInputs(request.getNews()),
      ),
      diff: answering((request: rpc.DiffRequest) => {
        const type = typeOf(this.provider, request.getType());
        return diffResponse(
          difference(
            type,
            bag(request.getOldInputs()),
            bag(request.getNews()),
            bag(request.getOlds()),
          ),
        );
      }),
      create: answering((request: rpc.CreateRequest, peer) => this.create(request, peer)),
      read: answering((request: rpc.ReadRequest, peer) => this.read(request, peer)),
      update: answering((request: rpc.UpdateRequest, peer) => this.update(request, peer)),
      delete: answering((request: rpc.DeleteRequest, peer) => this.delete(request, peer)),
      invoke: answering((request: rpc.InvokeRequest) => {
        return new rpc.InvokeResponse().setReturn(
          struct(answerOf(this.provider, request.getTok(), reveal(bag(request.getArgs())))),
        );
      }),
      cancel: answering(() => (this.site.faults.cancel(), new Empty())),
    };
  }

  private async configure(config: Values, peer: string) {
    this.instances.set(peer, config);
    await this.provider.configure?.(this.context(peer));
    return new rpc.ConfigureResponse().setAcceptsecrets(true).setSupportspreview(true);
  }

  private async create(request: rpc.CreateRequest, peer: string) {
    const type = typeOf(this.provider, request.getType());
    const inputs = bag(request.getProperties());
    if (request.getPreview())
      return new rpc.CreateResponse().setProperties(struct(planned(type, inputs)));
    const name = await this.meet(request);
    const result = type.create(reveal(inputs), this.context(peer), name);
    const state = struct(made(type, inputs, result.outputs));
    if (result.failed !== undefined) throw initFailed(result, state, bag(request.getProperties()));
    return new rpc.CreateResponse().setId(result.id).setProperties(state);
  }

  private async read(request: rpc.ReadRequest, peer: string) {
    const type = typeOf(this.provider, request.getType());
    await this.meet(request);
    const there =
      type.present?.(request.getId(), reveal(bag(request.getProperties())), this.context(peer)) ??
      true;
    if (!there) return new rpc.ReadResponse();
    return new rpc.ReadResponse()
      .setId(request.getId())
      .setProperties(request.getProperties())
      .setInputs(request.getInputs());
  }

  private async update(request: rpc.UpdateRequest, peer: string) {
    const type = typeOf(this.provider, request.getType());
    const [state, inputs] = [bag(request.getOlds()), bag(request.getNews())];
    const plan = plannedUpdate(type, state, inputs);
    if (request.getPreview()) return new rpc.UpdateResponse().setProperties(struct(plan));
    await this.meet(request);
    const outputs = type.update?.(request.getId(), reveal(inputs), this.context(peer)) ?? {};
    return new rpc.UpdateResponse().setProperties(
      struct(made(type, { ...state, ...inputs }, outputs)),
    );
  }

  private async delete(request: rpc.DeleteRequest, peer: string) {
    await this.meet(request);
    typeOf(this.provider, request.getType()).remove?.(
      request.getId(),
      reveal(bag(request.getProperties())),
      this.context(peer),
    );
    return new Empty();
  }

  /** Lets the faults of a resource happen. @returns its type and name, such as `Container:dev-grafana`. */
  private async meet(resource: { getType(): string; getName(): string }): Promise<string> {
    const name = `${kindOf(resource.getType())}:${resource.getName()}`;
    await this.site.faults.meet(name);
    return name;
  }

  private context(peer: string): Context {
    return { ...this.site, config: reveal(this.instances.get(peer) ?? {}) };
  }
}

function diffResponse(found: ReturnType<typeof difference>): rpc.DiffResponse {
  const { Kind } = rpc.PropertyDiff;
  const kinds = {
    add: [Kind.ADD, Kind.ADD_REPLACE],
    delete: [Kind.DELETE, Kind.DELETE_REPLACE],
    update: [Kind.UPDATE, Kind.UPDATE_REPLACE],
  } as const;
  const response = new rpc.DiffResponse()
    .setChanges(
      found.length > 0
        ? rpc.DiffResponse.DiffChanges.DIFF_SOME
        : rpc.DiffResponse.DiffChanges.DIFF_NONE,
    )
    .setDiffsList([...new Set(found.map(({ input }) => input))])
    .setReplacesList([
      ...new Set(found.filter(({ replaces }) => replaces).map(({ input }) => input)),
    ])
    .setHasdetaileddiff(true);
  for (const { path, kind, replaces } of found) {
    response
      .getDetaileddiffMap()
      .set(path, new rpc.PropertyDiff().setKind(kinds[kind][replaces ? 1 : 0]).setInputdiff(true));
  }
  return response;
}

/** The error by which the engine learns that a resource is there and does not work: it keeps it in its state. */
function initFailed({ id, failed = "" }: Made, state: Struct, inputs: Values): grpc.ServiceError {
  const detail = new rpc.ErrorResourceInitFailed()
    .setId(id)
    .setProperties(state)
    .setReasonsList([failed])
    .setInputs(struct(inputs));
  const wrapped = new Any();
  wrapped.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const metadata = new grpc.Metadata();
  const status = new Status()
    .setCode(grpc.status.UNKNOWN)
    .setMessage(failed)
    .setDetailsList([wrapped]);
  metadata.add("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return Object.assign(new Error(failed), { code: grpc.status.UNKNOWN, details: failed, metadata });
}
