/** Code into the user's notebook: what the panel does there can be read, kept and run again. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { INotebookTracker, NotebookActions, NotebookPanel } from '@jupyterlab/notebook';

/** Code for the notebook at a path: it names files from its own folder on. */
export type CodeFor = (path: string) => string;

/** Put code into a cell below the selected one (or into that, if it is empty) and run it; without a notebook a new one is made. */
export async function runInNotebook(app: JupyterFrontEnd, tracker: INotebookTracker, code: CodeFor): Promise<void> {
  const panel = await insertInNotebook(app, tracker, code);
  await NotebookActions.run(panel.content, panel.sessionContext);
}

/** The same, but it is left to the user to run it. */
export async function insertInNotebook(app: JupyterFrontEnd, tracker: INotebookTracker, code: CodeFor): Promise<NotebookPanel> {
  const panel = tracker.currentWidget ?? (await newNotebook(app));
  app.shell.activateById(panel.id);
  insertCell(panel, code(app.serviceManager.contents.localPath(panel.context.path)));
  panel.content.activate();
  return panel;
}

/** Run code in a certain notebook. */
export async function runCell(panel: NotebookPanel, code: string): Promise<void> {
  insertCell(panel, code);
  await NotebookActions.run(panel.content, panel.sessionContext);
}

function insertCell(panel: NotebookPanel, code: string): void {
  const notebook = panel.content;
  if (!notebook.activeCell || notebook.activeCell.model.sharedModel.getSource().trim()) {
    NotebookActions.insertBelow(notebook);
  }
  if (notebook.activeCell?.model.type !== 'code') {
    NotebookActions.changeCellType(notebook, 'code');
  }
  notebook.activeCell?.model.sharedModel.setSource(code);
}

/** A new notebook in a folder of the server, with its kernel. */
export async function newNotebook(app: JupyterFrontEnd, cwd?: string): Promise<NotebookPanel> {
  const kernelName = app.serviceManager.kernelspecs.specs?.default;
  const panel = (await app.commands.execute('notebook:create-new', { cwd, kernelName })) as NotebookPanel;
  await panel.context.ready;
  await panel.sessionContext.ready;
  return panel;
}
