import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import '../style/index.css';
import { panel, server } from './panel';
import { resources } from './resources/plugin';

const plugins: JupyterFrontEndPlugin<unknown>[] = [server, panel, resources];
export default plugins;
