import { LabIcon } from '@jupyterlab/ui-components';

/** Ranks of a histogram. */
export const mpidistIcon = new LabIcon({
  name: 'mpidist:panel',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><g class="jp-icon3" fill="#616161">' +
    '<rect x="2" y="13" width="4" height="8"/><rect x="7" y="6" width="4" height="15"/>' +
    '<rect x="12" y="3" width="4" height="18"/><rect x="17" y="10" width="4" height="11"/></g></svg>'
});
