package dev.performer.training.run;

import java.nio.file.Path;
import java.util.List;

/**
 * What a run came to.
 *
 * @param before evaluation on the validation data before the first step
 * @param after the same after the last
 * @param best of all evaluations
 * @param bestStep its step; 0 is before training
 * @param steps optimizer steps done
 * @param finished whether these are all; false after Ctrl-C
 * @param tokens real tokens seen in training
 * @param seconds time spent in training steps, over all parts of a resumed run
 * @param tokensPerSecond real tokens per second of training
 * @param checkpoint the newest checkpoint
 * @param unusedVariables trainable variables that the loss does not depend on
 */
public record TrainingResult(
    Evaluation before,
    Evaluation after,
    Evaluation best,
    long bestStep,
    long steps,
    boolean finished,
    long tokens,
    double seconds,
    double tokensPerSecond,
    Path checkpoint,
    List<String> unusedVariables) {}
