// Makes the parts of the extension, and starts and ends the server.

import * as vscode from "vscode";
import { type LanguageClient, State } from "vscode-languageclient/node";
import { createClient } from "./client";
import { type Intercept, interceptor } from "./commands";
import { Connection } from "./connection";
import { Executions } from "./executions";
import { Kernels } from "./kernels";
import { Notebooks } from "./notebook/controller";
import { onExecutionState, onKernelStatus } from "./notices";
import { Prompts } from "./prompts";
import type { ExecutionState, InputRequest, KernelStatus, OutputEvent } from "./protocol";
import { ResultsView } from "./results/view";
import { findServer } from "./server/find";
import { install, offerInstall } from "./server/install";
import { onDidSelectPython } from "./server/python";
import { languages } from "./settings";
import { createStatus, showKernelMenu } from "./status";

const MISSING = "carpo-lsp, the server of the extension Carpo, is not installed here.";

let carpo: Carpo | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  carpo = new Carpo(context);
  context.subscriptions.push(carpo);
  await carpo.start();
}

export async function deactivate(): Promise<void> {
  await carpo?.stop();
}

class Carpo implements vscode.Disposable {
  private readonly log = vscode.window.createOutputChannel("Carpo", { log: true });
  private readonly connection = new Connection(this.log);
  private readonly executions = new Executions();
  private readonly kernels = new Kernels(this.connection.ask);
  private readonly prompts = new Prompts(this.connection.ask);
  private readonly notebooks = new Notebooks(this.connection.ask, this.kernels);
  private readonly results: ResultsView;
  private readonly status = createStatus(this.kernels, () => this.connection.running);
  private readonly subscriptions: vscode.Disposable[] = [];
  private client: LanguageClient | undefined;
  /** The commands that are not the server's. */
  private readonly own: Record<string, () => unknown> = {
    "carpo.showResults": () => this.results.showAt(),
    "carpo.showResultsFile": () => this.showResultsFile(),
    "carpo.kernelMenu": showKernelMenu,
    "carpo.restartServer": () => this.restart(),
    "carpo.installServer": () => this.install(),
    "carpo.showLog": () => this.log.show(),
  };
  private readonly intercept: Intercept;
  /** What stands for the server's commands while there is no server. */
  private standIns: vscode.Disposable[] = [];
  /** Starts and stops wait for each other. */
  private last: Promise<void> = Promise.resolve();

  constructor(private readonly context: vscode.ExtensionContext) {
    this.results = new ResultsView(context.extensionUri, this.executions, this.connection.ask);
    this.intercept = interceptor(this.kernels, this.prompts, this.results);
    for (const [name, run] of Object.entries(this.own)) {
      this.subscriptions.push(vscode.commands.registerCommand(name, run));
    }
    this.subscriptions.push(
      vscode.workspace.onDidChangeConfiguration((event) => this.onSettings(event)),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.restart()),
    );
    void onDidSelectPython(() => this.restart()).then((each) => this.subscriptions.push(each));
    this.standIn();
  }

  dispose(): void {
    const parts = [this.results, this.notebooks, this.status, this.log];
    vscode.Disposable.from(...parts, ...this.subscriptions, ...this.standIns).dispose();
  }

  start(): Promise<void> {
    return this.inTurn(() => this.startNow());
  }

  stop(): Promise<void> {
    return this.inTurn(() => this.stopNow());
  }

  restart(): Promise<void> {
    return this.inTurn(async () => {
      await this.stopNow();
      await this.startNow();
    });
  }

  private inTurn(step: () => Promise<void>): Promise<void> {
    this.last = this.last.then(step, step);
    return this.last;
  }

  private async startNow(): Promise<void> {
    await vscode.commands.executeCommand("setContext", "carpo.languages", languages());
    const command = await findServer(this.context);
    if (!command) {
      this.tellThatItIsMissing();
      return;
    }
    this.log.info(`Starting ${command.command} ${command.args.join(" ")} (${command.from})`);
    const client = createClient(this.context, command, this.log, this.intercept);
    this.listen(client);
    this.clearStandIns();
    try {
      await client.start();
    } catch (error) {
      this.standIn();
      const problem = `carpo-lsp does not start, from ${command.from}: ${String(error)}`;
      void this.offer(problem);
      return;
    }
    this.client = client;
  }

  private async stopNow(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    await client?.dispose();
  }

  private listen(client: LanguageClient): void {
    client.onNotification("carpo/executionState", (params: ExecutionState) => {
      this.executions.onState(params);
      this.notebooks.onState(params);
      this.prompts.onState(params);
      onExecutionState(params);
      if (params.state === "queued" && !this.kernels.get(params.kernelId)) {
        void this.kernels.refresh();
      }
    });
    client.onNotification("carpo/output", (params: OutputEvent) => {
      this.executions.onOutput(params);
      this.notebooks.onOutput(params);
    });
    client.onNotification("carpo/inputRequest", (params: InputRequest) => {
      this.prompts.onInput(params);
    });
    client.onNotification("carpo/kernelStatus", (params: KernelStatus) => {
      this.kernels.onStatus(params);
      onKernelStatus(params, this.connection.ask);
    });
    client.onDidChangeState(({ newState, oldState }) => {
      if (newState === State.Stopped && oldState === State.Running) {
        this.onServerEnd();
      } else if (newState === State.Starting) {
        this.clearStandIns();
      } else if (newState === State.Running) {
        this.connection.set(client);
        void this.onServerStart();
      }
    });
  }

  /** It is there, for the first time or again after a crash. */
  private async onServerStart(): Promise<void> {
    await vscode.commands.executeCommand("setContext", "carpo.running", true);
    await this.kernels.refresh();
  }

  private onServerEnd(): void {
    this.executions.onServerEnd();
    this.notebooks.onServerEnd();
    this.prompts.onServerEnd();
    this.kernels.onServerEnd();
    this.standIn();
    void vscode.commands.executeCommand("setContext", "carpo.running", false);
  }

  /** The server's commands say why they do nothing, while nobody else has them. */
  private standIn(): void {
    this.clearStandIns();
    const { commands } = this.context.extension.packageJSON.contributes as {
      commands: { command: string }[];
    };
    this.standIns = commands
      .filter(({ command }) => !(command in this.own))
      .map(({ command }) =>
        vscode.commands.registerCommand(command, () => this.tellThatItIsMissing()),
      );
  }

  private clearStandIns(): void {
    vscode.Disposable.from(...this.standIns).dispose();
    this.standIns = [];
  }

  private tellThatItIsMissing(): void {
    void this.offer(MISSING);
  }

  private async offer(problem: string): Promise<void> {
    if (await offerInstall(this.context, problem)) {
      await this.restart();
    }
  }

  private async install(): Promise<void> {
    if (await install(this.context)) {
      await this.restart();
    }
  }

  private async showResultsFile(): Promise<void> {
    const uri = vscode.window.activeTextEditor?.document.uri.toString();
    if (uri) {
      await this.connection.ask("workspace/executeCommand", {
        command: "carpo.showOutput",
        arguments: [{ uri }],
      });
    }
  }

  private onSettings(event: vscode.ConfigurationChangeEvent): void {
    if (["server", "languages"].some((key) => event.affectsConfiguration(`carpo.${key}`))) {
      void this.restart();
    } else if (event.affectsConfiguration("carpo")) {
      // Without values, so that the server asks for them.
      void this.client?.sendNotification("workspace/didChangeConfiguration", { settings: null });
    }
  }
}
