package dev.performer.pipeline;

/**
 * What a {@link TextEngine} does now and did since it was made.
 *
 * @param running texts in the batch or on the way into it
 * @param waiting texts in the queue
 * @param tokens that were generated
 * @param promptTokens that were read
 * @param cachedTokens of prompts that stood in known states, and were not read
 * @param steps of the whole batch
 * @param finished requests that ended well
 * @param failed requests that failed
 * @param cancelled requests that were cancelled
 * @param refused requests for which the queue was full
 * @param sessions that are open
 * @param sessionBytes their native memory
 * @param cacheBytes native memory of the states of prefixes
 */
public record EngineStatistics(
    int running,
    int waiting,
    long tokens,
    long promptTokens,
    long cachedTokens,
    long steps,
    long finished,
    long failed,
    long cancelled,
    long refused,
    int sessions,
    long sessionBytes,
    long cacheBytes) {}
