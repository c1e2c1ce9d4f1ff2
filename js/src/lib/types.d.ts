/** The part of an anywidget model that the views use. */
export interface Model {
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, callback: (...args: any[]) => void): void;
  off(event: string, callback: (...args: any[]) => void): void;
}

/** What anywidget hands to `render`. */
export interface RenderProps {
  model: Model;
  el: HTMLElement;
}

export type VerdictName = "robust" | "non_robust" | "unknown" | "misclassified" | "pending";

export interface VerdictStyle {
  title: string;
  plural: string;
  meaning: string;
  light: string;
  dark: string;
  frame: string;
  glyph: string;
  icon: string;
}

/** What is known about the samples, for every epsilon (arrays over the samples). */
export interface Knowledge {
  certified: Float64Array;
  falsified: Float64Array;
  tried: Float64Array;
  misclassified: Uint8Array;
  /** Whether both radii were searched for; absent: of none. */
  refined?: Uint8Array;
}
