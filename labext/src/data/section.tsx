/** The section "Data": a name to look into, and those that were looked into. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { Button } from '../button';
import type { NamesModel } from './names';

export function NamesView({ model, trans }: { model: NamesModel; trans: TranslationBundle }): React.JSX.Element {
  return (
    <div className="jp-mpidist-Names">
      <form
        className="jp-mpidist-Row"
        onSubmit={event => {
          event.preventDefault();
          model.open();
        }}
      >
        <input
          type="text"
          className="jp-mod-styled"
          aria-label={trans.__('file')}
          placeholder="root://host//store/file.root"
          value={model.typed}
          maxLength={4096}
          spellCheck={false}
          onChange={event => model.type(event.target.value)}
        />
        <Button label={trans.__('Look')} hint={trans.__('shows what is in the file')} act={() => model.open()} />
      </form>
      <p className="jp-mpidist-Faint">{trans.__('.root and .h5 files also open from the file browser.')}</p>
      {model.recent.length > 0 && (
        <ul aria-label={trans.__('files that were looked into')}>
          {model.recent.map(path => (
            <li key={path}>
              <button className="jp-mpidist-Link" title={path} onClick={() => model.open(path)}>
                {path}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
