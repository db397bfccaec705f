import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import '../style/index.css';
import { commands } from './commands/plugin';
import { data } from './data/plugin';
import { files } from './files/plugin';
import { panel, server } from './panel';
import { resources } from './resources/plugin';
import { runs } from './runs/plugin';
import { status } from './status/plugin';

const plugins: JupyterFrontEndPlugin<unknown>[] = [server, panel, resources, files, runs, data, status, commands];
export default plugins;
