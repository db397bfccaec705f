import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

import '../style/index.css';
import { panel, server } from './panel';
import { resources } from './resources/plugin';
import { runs } from './runs/plugin';

const plugins: JupyterFrontEndPlugin<unknown>[] = [server, panel, resources, runs];
export default plugins;
