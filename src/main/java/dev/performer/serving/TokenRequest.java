package dev.performer.serving;

import java.util.OptionalInt;
import java.util.Set;

/**
 * A text for a {@link TokenScheduler}.
 *
 * @param ids all tokens that are known: the prompt, which {@link GenerationSession#check} allows
 * @param start what is read of them already, which the scheduler closes; null for nothing
 * @param maxTokens new tokens at most
 * @param choice how they are chosen
 * @param row of the choice
 * @param end the token that ends it; empty for none
 * @param forbidden tokens that never come
 * @param likeliest how many likeliest tokens come with each
 * @param scoresPrompt whether the prompt's tokens are scored
 * @param keepsState whether its states are wished at the end
 */
public record TokenRequest(
    int[] ids,
    TextState start,
    int maxTokens,
    Sampler.Choice choice,
    int row,
    OptionalInt end,
    Set<Integer> forbidden,
    int likeliest,
    boolean scoresPrompt,
    boolean keepsState) {}
