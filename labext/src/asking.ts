/** What can be asked of the server, and how it refuses. The types are made from the server's own (`wire.ts`). */
import type { components, paths } from './wire';

export type Wire = components['schemas'];
export type Method = 'get' | 'post' | 'put' | 'delete';
/** What a request is answered with. */
export type Answer<P extends keyof paths, M extends Method> = paths[P][M] extends {
  responses: { 200: { content: { 'application/json': infer A } } };
}
  ? A
  : never;
/** What a request says. */
export type Body<P extends keyof paths, M extends Method> = paths[P][M] extends {
  requestBody: { content: { 'application/json': infer B } };
}
  ? B
  : undefined;

/** A refusal, in the server's words, which are for users. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number
  ) {
    super(message);
  }
}

export interface IOptions<P extends keyof paths, M extends Method> {
  body?: Body<P, M>;
  /** What stands in the path for each name in braces. */
  places?: Record<string, string>;
  query?: Record<string, string | number>;
  /** Bytes, for requests whose body is no JSON. */
  content?: Blob;
  signal?: AbortSignal;
}

/** What models ask; tests have their own. */
export interface IApi {
  ask<P extends keyof paths, M extends Method>(
    method: M,
    path: P,
    options?: IOptions<P, M>
  ): Promise<Answer<P, M>>;
}
