/** Typed requests to mpidist's part of the Jupyter server. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { Answer, IApi, IOptions, Method, Refused } from './asking';
import type { paths } from './wire';

export class Api implements IApi {
  constructor(private readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings()) {}

  async ask<P extends keyof paths, M extends Method>(
    method: M,
    path: P,
    options: IOptions<P, M> = {}
  ): Promise<Answer<P, M>> {
    const named = path.replace(/{(\w+)}/g, (_, name: string) => encodeURIComponent(options.places?.[name] ?? ''));
    const init: RequestInit = { method: method.toUpperCase(), signal: options.signal };
    if (options.content) {
      init.body = options.content;
      init.headers = { 'Content-Type': 'application/octet-stream' };
    } else if (options.body !== undefined) {
      init.body = JSON.stringify(options.body);
    }
    const query = options.query ? URLExt.objectToQueryString(options.query) : '';
    const url = URLExt.join(this.settings.baseUrl, named) + query;
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this.settings);
    } catch {
      throw new Refused('The Jupyter server does not answer.', 0);
    }
    const text = await response.text();
    if (!response.ok) {
      throw new Refused(message(text) ?? `${response.status} ${response.statusText}`, response.status);
    }
    return JSON.parse(text) as Answer<P, M>;
  }
}

function message(text: string): string | null {
  try {
    const said: unknown = JSON.parse(text).message;
    return typeof said === 'string' ? said : null;
  } catch {
    return null;
  }
}
