package dev.performer.training;

import dev.performer.graph.Variable;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.tensorflow.Graph;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.types.TFloat32;

/**
 * What can be trained on token sequences: a graph that maps tokens to logits, differentiable with
 * respect to its variables. The graph is owned by whoever made this.
 *
 * @param graph the graph that holds everything below
 * @param tokens placeholder, {@code [B, L]}, int32 or int64
 * @param mask placeholder for a {@code [B, L]} mask (1 = real token) of any numeric type, where the
 *     model takes one
 * @param constantInputs other placeholders {@code [B, L]} that are fed zeros, such as token types
 * @param logits {@code [B, L, vocabulary]}
 * @param variables all variables, trainable or not
 * @param initializer gives a new session's variables their values
 */
public record LanguageModel(
    Graph graph,
    Output<?> tokens,
    Optional<Output<?>> mask,
    List<Output<?>> constantInputs,
    Output<TFloat32> logits,
    List<Variable> variables,
    Consumer<Session> initializer) {}
