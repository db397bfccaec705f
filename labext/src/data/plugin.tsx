/** Opens data files: from the file browser like any document, and by name from the section "Data" of the panel. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, MainAreaWidget, showDialog } from '@jupyterlab/apputils';
import { ABCWidgetFactory, DocumentRegistry, DocumentWidget, TextModelFactory } from '@jupyterlab/docregistry';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { mpidistIcon } from '../icons';
import { insertInNotebook, isSingle } from '../notebook';
import { Section } from '../section';
import { IMpidistPanel, IMpidistServer } from '../tokens';
import { code } from './code';
import { DataModel } from './model';
import { INames, NamesModel } from './names';
import { DataView } from './panel';
import { NamesView } from './section';

const ID = '@mpidist/labext:data';
const FACTORY = 'mpidist data';
const TYPES: readonly DocumentRegistry.IFileType[] = [
  { name: 'root', displayName: 'ROOT file', extensions: ['.root'], mimeTypes: ['application/x-root'] },
  { name: 'hdf5', displayName: 'HDF5 file', extensions: ['.h5', '.hdf5', '.hdf', '.he5'], mimeTypes: ['application/x-hdf5'] }
].map(each => ({ ...each, fileFormat: null, contentType: 'file' as const, icon: mpidistIcon }) as DocumentRegistry.IFileType);

/** A model without content: a file of 2 GB is not to come into the page. */
class NoContent extends TextModelFactory {
  override get name(): string {
    return 'mpidist-data';
  }
  override get contentType(): 'file' {
    return 'file';
  }
  override get fileFormat(): null {
    return null;
  }
}

type Draw = (path: string) => Section<DataModel>;

class Factory extends ABCWidgetFactory<DocumentWidget<Section<DataModel>>> {
  constructor(
    options: DocumentRegistry.IWidgetFactoryOptions<DocumentWidget<Section<DataModel>>>,
    private readonly draw: Draw,
    private readonly local: (path: string) => string
  ) {
    super(options);
  }

  protected createNewWidget(context: DocumentRegistry.Context): DocumentWidget<Section<DataModel>> {
    const content = this.draw(this.local(context.path));
    context.fileChanged.connect(() => void content.model.load());
    return new DocumentWidget({ content, context });
  }
}

export const data: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'What is in ROOT and HDF5 files.',
  autoStart: true,
  requires: [IMpidistPanel, IMpidistServer, INotebookTracker],
  optional: [IStateDB, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    panel: IMpidistPanel,
    server: IMpidistServer,
    tracker: INotebookTracker,
    state: IStateDB | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mpidist');
    const draw: Draw = path => {
      const model = new DataModel(path, server.api, () => !document.hidden);
      const use = async (column: DataModel['column']) => {
        const contents = model.contents;
        if (contents) {
          await insertInNotebook(app, tracker, notebook => code(contents, model.tree, column, notebook));
        }
      };
      const section = new Section('', '', model, shown => <DataView model={shown} trans={trans} use={column => void use(column)} />);
      section.disposed.connect(() => model.stop());
      return section;
    };
    const names = new NamesModel(memory(state), path => void openNamed(app, path, draw));
    addFactory(app, trans, draw, path => names.note(path));
    panel.addSection(new Section('mpidist-data', trans.__('Data'), names, shown => <NamesView model={shown} trans={trans} />), 30);
  }
};

function addFactory(app: JupyterFrontEnd, trans: TranslationBundle, draw: Draw, note: (path: string) => void): void {
  const registry = app.docRegistry;
  TYPES.forEach(type => registry.addFileType(type));
  registry.addModelFactory(new NoContent());
  const fileTypes = TYPES.map(each => each.name);
  const local = (path: string) => app.serviceManager.contents.localPath(path);
  const factory = new Factory(
    { name: FACTORY, label: trans.__('Data'), modelName: 'mpidist-data', fileTypes, defaultFor: fileTypes, readOnly: true },
    draw,
    local
  );
  factory.widgetCreated.connect((_, widget) => {
    widget.title.icon = mpidistIcon;
    note(local(widget.context.path));
  });
  registry.addWidgetFactory(factory);
}

/** Remote files have no document in JupyterLab: they get a tab of their own, or a dialog where a page has one document. */
async function openNamed(app: JupyterFrontEnd, path: string, draw: Draw): Promise<void> {
  if (!path.includes('://')) {
    await app.commands.execute('docmanager:open', { path, factory: FACTORY });
    return;
  }
  if (isSingle(app)) {
    await showDialog({ title: path, body: draw(path), buttons: [Dialog.okButton()] });
    return;
  }
  const id = `mpidist-data-${path}`;
  if (![...app.shell.widgets('main')].some(each => each.id === id)) {
    const tab = new MainAreaWidget({ content: draw(path) });
    tab.id = id;
    tab.title.label = path.split('/').pop() || path;
    tab.title.caption = path;
    tab.title.icon = mpidistIcon;
    tab.title.closable = true;
    app.shell.add(tab, 'main');
  }
  app.shell.activateById(id);
}

function memory(state: IStateDB | null): INames {
  return {
    load: async () => ((await state?.fetch(ID)) ?? []) as string[],
    save: names => void state?.save(ID, [...names])
  };
}
