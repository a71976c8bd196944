/** What one step of the engine computes. */
export interface StepLoad {
  /** Prompt tokens computed in the step, over all sequences. */
  readonly prefillTokens: number;
  /** Sequences that get one more token. */
  readonly decodes: number;
  /** Tokens of context that those sequences attend to, in sum. */
  readonly contextTokens: number;
}

/** How long steps take on one kind of GPU and model. */
export interface StepTimes {
  /** Reading the weights once: the least a step takes, in ms. */
  readonly weightsMs: number;
  /** Computing one prompt token, in ms. */
  readonly prefillTokenMs: number;
  /** Computing and sampling one token of a decoding sequence, in ms. */
  readonly decodeTokenMs: number;
  /** Reading the KV cache of one token of context, in ms. */
  readonly contextTokenMs: number;
}

/** A GPU with a model on it, and the limits vLLM would set for it. */
export interface Profile {
  readonly times: StepTimes;
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  /** KV cache, in blocks of 16 tokens. */
  readonly kvBlocks: number;
  readonly maxModelLen: number;
}

/**
 * Tell how long a step takes, in ms.
 *
 * A roofline: computing hides behind reading the weights until it takes longer than that; reading
 * the KV cache comes on top, since attention is a phase of its own.
 */
export function stepMs(times: StepTimes, load: StepLoad): number {
  const computeMs = load.prefillTokens * times.prefillTokenMs + load.decodes * times.decodeTokenMs;
  return Math.max(times.weightsMs, computeMs) + load.contextTokens * times.contextTokenMs;
}

/** The profiles that `--profile` names. */
export const PROFILES = {
  /** No GPU in particular: quick enough for a laptop demonstration, slow enough to watch. */
  fast: {
    times: { weightsMs: 5, prefillTokenMs: 0.01, decodeTokenMs: 0, contextTokenMs: 0 },
    maxNumSeqs: 256,
    maxNumBatchedTokens: 8_192,
    kvBlocks: 65_536,
    maxModelLen: 8_192,
  },
  /**
   * 1×H100 80 GB, Llama-3.1-8B BF16. Published: about 12,500 output tokens/s at the peak
   * (morphllm.com/vllm-benchmarks, April 2026, secondary). Single-stream speed and prefill rate are
   * not published there; they are derived, as said beside each constant.
   */
  "h100-8b": {
    times: {
      /** The A100's 12.9 ms by memory bandwidth: 12.9 × 1,555 / 3,350 GB/s (NVIDIA data sheets). */
      weightsMs: 6.0,
      /** 16 GFLOP a token at half of 989 dense BF16 TFLOPS (NVIDIA data sheet). */
      prefillTokenMs: 0.0324,
      /** What the published peak leaves: 256 × 0.055 + 256 × 512 × 0.000049 = 20.5 ms a step. */
      decodeTokenMs: 0.055,
      /** 128 KiB of KV a token (32 layers, 8 heads of 128, BF16) at the bandwidth of the weights. */
      contextTokenMs: 0.000_049,
    },
    maxNumSeqs: 256,
    maxNumBatchedTokens: 8_192,
    /** 80 GB × 0.92 less weights and workspace is some 54 GB; 2 MiB a block. */
    kvBlocks: 25_600,
    maxModelLen: 32_768,
  },
  /**
   * 1×A100 40 GB, 8B BF16, vLLM 0.23, 1,024 tokens in and 128 out. Published: 75 output tokens/s at
   * concurrency 1, 6.6 times that at 8, the knee (johnmusgrave.com vllm sweep).
   */
  "a100-8b": {
    times: {
      /** 128 tokens in 128 / 75 s, less the prefill and the KV cache's share. */
      weightsMs: 12.9,
      /** The highest rate the 6.6-fold speed-up at 8 leaves for eight prefills: 18,000 tokens/s. */
      prefillTokenMs: 0.055,
      /** The H100's by peak compute: 0.055 × 989 / 312 TFLOPS (NVIDIA data sheets). */
      decodeTokenMs: 0.174,
      /** 128 KiB of KV a token at the bandwidth the weights are read with, 1.24 TB/s. */
      contextTokenMs: 0.000_106,
    },
    maxNumSeqs: 256,
    maxNumBatchedTokens: 2_048,
    /** 40 GB × 0.9 less 16 GB of weights and 2 GB of workspace; 2 MiB a block. */
    kvBlocks: 8_600,
    maxModelLen: 16_384,
  },
  /**
   * 1×L4 24 GB, Qwen2.5-7B BF16, vLLM 0.19.1. Published for two of them: 6.7 requests/s with random
   * prompts, 13.0 with a shared prefix (nicolas-richard.github.io). The lengths are not part of our
   * excerpt; the constants fit both rates with 512 tokens in, 64 out, 27 in flight per GPU.
   */
  "l4-7b": {
    times: {
      /** 15.2 GB of weights at 85 % of 300 GB/s (NVIDIA data sheet). */
      weightsMs: 59.7,
      /** What random prompts cost more than shared ones: 15.2 GFLOP at 39 % of 121 TFLOPS. */
      prefillTokenMs: 0.32,
      /** The H100's by peak compute: 0.055 × 989 / 121 TFLOPS (NVIDIA data sheets). */
      decodeTokenMs: 0.45,
      /** 56 KiB of KV a token (28 layers, 4 heads of 128, BF16) at the bandwidth of the weights. */
      contextTokenMs: 0.000_225,
    },
    maxNumSeqs: 256,
    maxNumBatchedTokens: 2_048,
    /** 24 GB × 0.9 less 15.2 GB of weights and 1.5 GB of workspace; 0.9 MB a block. */
    kvBlocks: 5_300,
    maxModelLen: 8_192,
  },
} as const satisfies Record<string, Profile>;

/** A name that `--profile` accepts. */
export type ProfileName = keyof typeof PROFILES;
