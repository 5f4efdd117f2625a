import * as grpc from "@grpc/grpc-js";
import * as plugin from "@pulumi/pulumi/proto/plugin_pb";
import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import {
  type IResourceProviderServer,
  ResourceProviderService,
} from "@pulumi/pulumi/proto/provider_grpc_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { type JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";
import {
  diff,
  invokeFunction,
  kindOf,
  type PlannedChange,
  plannedState,
  plannedUpdate,
  type Provider,
  type ProviderContext,
  resourceType,
  stateOf,
} from "./provider";
import { propertyChanges, type PropertyMap, reveal } from "./wire";

const fromStruct = (struct?: Struct): PropertyMap => (struct?.toJavaScript() ?? {}) as PropertyMap;
const toStruct = (properties: PropertyMap) =>
  Struct.fromJavaScript(properties as { [key: string]: JavaScriptValue });

/** A gRPC handler that answers with what `handle` returns, or with its error. */
const handler =
  <Request, Response>(
    handle: (request: Request, peer: string) => Response | Promise<Response>,
  ): grpc.handleUnaryCall<Request, Response> =>
  (call, callback) =>
    Promise.resolve()
      .then(() => handle(call.request, call.getPeer()))
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
 * Serves one simulated provider over gRPC to any number of Pulumi engines. An engine opens one
 * connection per provider instance of the program, so a connection identifies a configuration.
 */
export class ProviderServer {
  private readonly server = new grpc.Server();
  /** Configurations of the provider instances, by the peer address of their connections. */
  private readonly configs = new Map<string, PropertyMap>();

  constructor(
    private readonly provider: Provider,
    private readonly site: Omit<ProviderContext, "config">,
  ) {
    this.server.addService(
      ResourceProviderService,
      this.service() as grpc.UntypedServiceImplementation,
    );
  }

  /** Listens on a free port of 127.0.0.1. @returns the port. */
  listen(): Promise<number> {
    const credentials = grpc.ServerCredentials.createInsecure();
    return new Promise((resolve, reject) =>
      this.server.bindAsync("127.0.0.1:0", credentials, (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  }

  close(): void {
    this.server.forceShutdown();
  }

  private service(): Partial<IResourceProviderServer> {
    return {
      attach: handler(() => new Empty()),
      getPluginInfo: handler(() => new plugin.PluginInfo().setVersion(this.provider.version)),
      checkConfig: handler((request: rpc.CheckRequest) =>
        new rpc.CheckResponse().setInputs(request.getNews()),
      ),
      diffConfig: handler((request: rpc.DiffRequest) => {
        const found = propertyChanges(
          fromStruct(request.getOldInputs()),
          fromStruct(request.getNews()),
        );
        return diffResponse(found.map((change) => ({ ...change, replaces: false })));
      }),
      configure: handler((request: rpc.ConfigureRequest, peer) =>
        this.configure(fromStruct(request.getArgs()), peer),
      ),
      check: handler((request: rpc.CheckRequest) =>
        new rpc.CheckResponse().setInputs(request.getNews()),
      ),
      diff: handler((request: rpc.DiffRequest) => {
        const type = resourceType(this.provider, request.getType());
        return diffResponse(
          diff(
            type,
            fromStruct(request.getOldInputs()),
            fromStruct(request.getNews()),
            fromStruct(request.getOlds()),
          ),
        );
      }),
      create: handler((request: rpc.CreateRequest, peer) => this.create(request, peer)),
      read: handler((request: rpc.ReadRequest, peer) => this.read(request, peer)),
      update: handler((request: rpc.UpdateRequest, peer) => this.update(request, peer)),
      delete: handler((request: rpc.DeleteRequest, peer) => this.delete(request, peer)),
      invoke: handler((request: rpc.InvokeRequest) => {
        return new rpc.InvokeResponse().setReturn(
          toStruct(
            invokeFunction(this.provider, request.getTok(), reveal(fromStruct(request.getArgs()))),
          ),
        );
      }),
      cancel: handler(() => {
        this.site.faults.cancel();
        return new Empty();
      }),
    };
  }

  private async configure(config: PropertyMap, peer: string) {
    this.configs.set(peer, config);
    await this.provider.configure?.(this.context(peer));
    return new rpc.ConfigureResponse().setAcceptsecrets(true).setSupportspreview(true);
  }

  private async create(request: rpc.CreateRequest, peer: string) {
    const type = resourceType(this.provider, request.getType());
    const inputs = fromStruct(request.getProperties());
    if (request.getPreview())
      return new rpc.CreateResponse().setProperties(toStruct(plannedState(type, inputs)));
    const name = await this.injectFaults(request);
    const result = type.create(reveal(inputs), this.context(peer), name);
    return new rpc.CreateResponse()
      .setId(result.id)
      .setProperties(toStruct(stateOf(type, inputs, result.outputs)));
  }

  private async read(request: rpc.ReadRequest, peer: string) {
    const type = resourceType(this.provider, request.getType());
    await this.injectFaults(request);
    const state = reveal<PropertyMap>(fromStruct(request.getProperties()));
    if (type.exists?.(request.getId(), state, this.context(peer)) === false)
      return new rpc.ReadResponse();
    return new rpc.ReadResponse()
      .setId(request.getId())
      .setProperties(request.getProperties())
      .setInputs(request.getInputs());
  }

  private async update(request: rpc.UpdateRequest, peer: string) {
    const type = resourceType(this.provider, request.getType());
    const [state, inputs] = [fromStruct(request.getOlds()), fromStruct(request.getNews())];
    const plan = plannedUpdate(type, state, inputs);
    if (request.getPreview()) return new rpc.UpdateResponse().setProperties(toStruct(plan));
    await this.injectFaults(request);
    const outputs = type.update?.(request.getId(), reveal(inputs), this.context(peer)) ?? {};
    return new rpc.UpdateResponse().setProperties(
      toStruct(stateOf(type, { ...state, ...inputs }, outputs)),
    );
  }

  private async delete(request: rpc.DeleteRequest, peer: string) {
    await this.injectFaults(request);
    resourceType(this.provider, request.getType()).remove?.(
      request.getId(),
      reveal(fromStruct(request.getProperties())),
      this.context(peer),
    );
    return new Empty();
  }

  /**
   * Lets the faults of a resource happen.
   * @returns the resource's type and name, such as `Container:dev-grafana`.
   */
  private async injectFaults(resource: { getType(): string; getName(): string }): Promise<string> {
    const name = `${kindOf(resource.getType())}:${resource.getName()}`;
    await this.site.faults.inject(name);
    return name;
  }

  private context(peer: string): ProviderContext {
    return { ...this.site, config: reveal(this.configs.get(peer) ?? {}) };
  }
}

function diffResponse(found: PlannedChange[]): rpc.DiffResponse {
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
