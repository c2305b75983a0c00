package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.savedmodel.TensorSpec;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.tensorflow.proto.DataType;

/** Finds the output of a signature that a task is learnt on. */
final class TaskOutputs {
  private static final List<DataType> FLOATS =
      List.of(DataType.DT_FLOAT, DataType.DT_DOUBLE, DataType.DT_HALF, DataType.DT_BFLOAT16);

  /** Of encoders: states of tokens first, as the mean of these learns from few examples. */
  private static final List<String> STATES =
      List.of(
          "last_hidden_state", "sequence_output", "hidden_states", "embeddings", "encoder_output");

  private static final List<String> VECTORS =
      List.of("sentence_embedding", "pooled_output", "pooler_output", "embedding", "features");

  private TaskOutputs() {}

  /** For a new layer: the named one, or states or vectors of the usual names, or the only one. */
  static String forLayer(SignatureSpec spec, String given, Kind kind) {
    Predicate<TensorSpec> fits =
        output -> {
          int rank = output.shape().isUnknown() ? 0 : output.shape().numDimensions();
          return FLOATS.contains(output.type()) && (kind.isOfTokens() ? rank == 3 : rank >= 2);
        };
    String shapes = kind.isOfTokens() ? "[B, L, E]" : "[B, E], [B, L, E] or [B, H, W, E]";
    if (given != null) {
      String text = "a new layer for %s needs floating point numbers %s, not the output %s";
      require(fits.test(spec.output(given)), text, kind.label(), shapes, spec.output(given));
      return given;
    }
    List<String> names =
        spec.outputs().values().stream().filter(fits).map(TensorSpec::name).toList();
    Optional<String> usual = STATES.stream().filter(names::contains).findFirst();
    usual = usual.or(() -> VECTORS.stream().filter(names::contains).findFirst());
    String count = names.isEmpty() ? "no" : "more than one";
    String text =
        "the signature %s has %s output %s that a new layer can be on; it has %s: name one";
    if (usual.isEmpty() && names.size() != 1) {
      text = text.formatted(spec.name(), count, shapes, spec.outputs().values());
      throw new PerformerException(text).settledBy("outputName");
    }
    return usual.orElseGet(() -> names.get(0));
  }

  /** The one that guesses by itself: the named one, or the only one. */
  static String own(SignatureSpec spec, String given) {
    if (given == null && spec.outputs().size() != 1) {
      String text = "the signature %s has several outputs, %s: name the one that guesses";
      throw new PerformerException(text.formatted(spec.name(), spec.outputs().values()))
          .settledBy("outputName");
    }
    String name = given != null ? given : spec.outputs().keySet().iterator().next();
    return spec.output(name).name();
  }
}
