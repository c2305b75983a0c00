package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.model.TextEmbedding;
import dev.performer.model.TextEmbedding.Pooling;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import dev.performer.training.ImportedLanguageModel;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * How a model turns sequences into vectors: from an output {@code [B, L, E]} with a vector for each
 * token, or {@code [B, E]} with one for each sequence. Immutable.
 *
 * @param output that is read
 * @param pooling over tokens; none where the output has one vector for each sequence
 * @param normalize whether vectors of sequences get the length 1
 */
public record EmbeddingSpec(TokenInput input, String output, Pooling pooling, boolean normalize) {
  private static final List<String> STATES =
      List.of("embeddings", "sequence_output", "last_hidden_state", "encoder_sequence_output");
  private static final List<String> VECTORS = List.of("embedding", "sentence_embedding");

  /**
   * What is given in place of what a model records; null for that.
   *
   * @param output any of the signature's that has vectors
   */
  public record Options(String output, Pooling pooling, Boolean normalize) {
    /** All from the model. */
    public static final Options DEFAULT = new Options(null, null, null);
  }

  /** As the model's card has it, else the mean over tokens. */
  public static EmbeddingSpec of(Model model) {
    return of(model, Options.DEFAULT, false);
  }

  /**
   * The same with options.
   *
   * @param idsOnly whether sequences come as ids, which then need no meaning
   * @throws PerformerException if the model has no vectors, or its token ids no meaning
   */
  public static EmbeddingSpec of(Model model, Options options, boolean idsOnly) {
    boolean isOwn = model.options().signature() == null && model.signatures().containsKey("embed");
    String name = isOwn ? "embed" : model.options().signature();
    TokenInput input = model.with(model.options().withSignature(name)).input(idsOnly);
    SignatureSpec signature = input.signature();
    String output = options.output() != null ? options.output() : output(input);
    TensorSpec chosen = signature.outputs().get(output);
    if (chosen == null) {
      String no = "%s: signature %s has no output %s; it has %s";
      Object all = signature.outputs().values();
      throw new PerformerException(no.formatted(model.path(), signature.name(), output, all))
          .settledBy("outputName");
    }
    boolean isVector = hasRank(chosen, 2);
    String one = "%s: the output %s has a vector for each sequence, so there are no tokens to pool";
    require(!isVector || options.pooling() == null, one, model.path(), output);
    var card = model.card().map(ModelCard::embedding);
    Pooling usual = card.map(TextEmbedding::pooling).orElse(Pooling.MEAN);
    Pooling given = options.pooling() == null ? usual : options.pooling();
    boolean isUnit = !isVector && card.map(TextEmbedding::normalize).orElse(false);
    return new EmbeddingSpec(
        card.map(TextEmbedding::maxLength).map(input::upTo).orElse(input),
        output,
        isVector ? Pooling.NONE : given,
        options.normalize() == null ? isUnit : options.normalize());
  }

  /** States of tokens before vectors of sequences, known names before others; never logits. */
  private static String output(TokenInput input) {
    var outputs = input.signature().outputs();
    var names = Stream.of(STATES, VECTORS).flatMap(List::stream).filter(outputs::containsKey);
    return names.findFirst().orElseGet(() -> only(input, 3).orElseGet(() -> none(input)));
  }

  private static Optional<String> only(TokenInput input, int rank) {
    long size = input.tokenizer().size();
    Predicate<TensorSpec> isState =
        output ->
            output.isFloat()
                && hasRank(output, rank)
                && output.follows(input.signature().input(input.tokens()), rank - 1)
                && !ImportedLanguageModel.isLogits(output.name())
                && output.shape().get(-1) != size;
    var all = input.signature().outputs().values();
    List<String> fit = all.stream().filter(isState).map(TensorSpec::name).toList();
    boolean isOne = fit.size() == 1;
    return isOne || rank == 2 || !fit.isEmpty()
        ? fit.stream().filter(name -> isOne).findFirst()
        : only(input, 2);
  }

  private static String none(TokenInput input) {
    String text =
        "%s: nothing tells which output of signature %s has vectors: expected one named %s, or the only one [B, L, E] or [B, E] that is no logits; it has %s";
    var signature = input.signature();
    String usual = String.join(", ", STATES);
    Object all = signature.outputs().values();
    throw new PerformerException(text.formatted(input.model(), signature.name(), usual, all))
        .settledBy("outputName", "signature");
  }

  private static boolean hasRank(TensorSpec output, int rank) {
    return !output.shape().isUnknown() && output.shape().numDimensions() == rank;
  }
}
