/** Commands in the palette and the launcher. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, showErrorMessage } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Widget } from '@lumino/widgets';

import { mpidistIcon } from '../icons';
import { isSingle, newNotebook, newNotebookOf, runCell } from '../notebook';
import { IMpidistPanel, IMpidistServer } from '../tokens';
import { copyExample } from './example';

const ID = '@mpidist/labext:commands';

export namespace CommandIDs {
  export const newSession = 'mpidist:new-session';
  export const openExample = 'mpidist:open-example';
  export const showPanel = 'mpidist:show-panel';
}

export const commands: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'A new MPI session, and the example analysis, from the palette and the launcher.',
  autoStart: true,
  requires: [IMpidistPanel, IMpidistServer],
  optional: [ICommandPalette, ILauncher, IDefaultFileBrowser, ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    panel: IMpidistPanel,
    server: IMpidistServer,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    browser: IDefaultFileBrowser | null,
    registry: ISettingRegistry | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mpidist');
    const settings = registry?.load(ID);
    const folder = (args: ReadonlyPartialJSONObject) => String(args['cwd'] ?? browser?.model.path ?? '');

    app.commands.addCommand(CommandIDs.newSession, {
      label: trans.__('New MPI session'),
      caption: trans.__('A new notebook that is connected to MPI ranks'),
      icon: mpidistIcon,
      execute: async (args): Promise<Widget | undefined> => {
        const given = (await settings)?.composite['newSessionCode'] as string | undefined;
        const code = given ?? 'import mpidist as md\n\nsession = md.connect()\nsession';
        if (isSingle(app)) {
          await newNotebookOf(app, code, folder(args));
          return undefined;
        }
        const notebook = await newNotebook(app, folder(args));
        // Not awaited: ranks take a while, and the notebook is there.
        void runCell(notebook, code);
        return notebook;
      }
    });
    app.commands.addCommand(CommandIDs.openExample, {
      label: trans.__('Open example analysis'),
      caption: trans.__('A copy of the dimuon analysis on CMS open data, with its events'),
      icon: mpidistIcon,
      execute: async (args): Promise<Widget | undefined> => {
        try {
          const example = await server.api.ask('get', '/mpidist/api/example');
          const path = await copyExample(app.serviceManager.contents, example, folder(args));
          return (await app.commands.execute('docmanager:open', { path })) as Widget | undefined;
        } catch (error) {
          void showErrorMessage(trans.__('The example cannot be copied'), error as Error);
          return undefined;
        }
      }
    });
    app.commands.addCommand(CommandIDs.showPanel, {
      label: trans.__('Show the panel of mpidist'),
      execute: () => panel.reveal()
    });
    const category = 'mpidist';
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category });
    }
    launcher?.add({ command: CommandIDs.newSession, category, rank: 1 });
    launcher?.add({ command: CommandIDs.openExample, category, rank: 2 });
  }
};
