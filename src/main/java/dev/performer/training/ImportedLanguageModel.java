package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;

/**
 * Finds the language model in a signature of an imported SavedModel. Tokens are the input with one
 * of the usual names, or the only integer input {@code [B, L]}; a mask is an input with "mask" in
 * its name; other inputs {@code [B, L]} get zeros. Logits are the float32 output {@code [B, L, V]}
 * with one of the usual names, or the only one.
 */
public final class ImportedLanguageModel {
  private static final List<String> TOKENS =
      List.of("tokens", "input_word_ids", "input_ids", "word_ids", "ids", "inputs");
  private static final List<String> LOGITS =
      List.of("logits", "lm_head", "lm_logits", "mlm_logits");

  private ImportedLanguageModel() {}

  /**
   * @param model stays the caller's, to be closed after the session
   * @param signature one that was imported
   * @throws PerformerException if tokens or logits are not to be found; it lists what there is
   */
  public static LanguageModel of(ImportedModel model, String signature) {
    return of(model, resolve(signature(model, signature), null, 0));
  }

  /**
   * Finds the tensors of a signature.
   *
   * @param given what is known already; null, or any part of it null: that is looked for
   * @param vocabularySize size of the last dimension of the logits, 0 if it is not known
   * @throws PerformerException if a tensor is not to be found; it lists what there is
   */
  public static ModelCard.LanguageModel resolve(
      SignatureSpec spec, ModelCard.LanguageModel given, int vocabularySize) {
    String tokens = given != null && given.tokens() != null ? given.tokens() : tokens(spec);
    String mask = given != null && given.mask() != null ? given.mask() : mask(spec, tokens);
    String logits =
        given != null && given.logits() != null ? given.logits() : logits(spec, vocabularySize);
    spec.input(tokens);
    spec.output(logits);
    if (mask != null) {
      spec.input(mask);
    }
    return given == null
        ? new ModelCard.LanguageModel(spec.name(), tokens, mask, logits, null)
        : given.withTensors(spec.name(), tokens, mask, logits, given.objective());
  }

  /** The input for tokens. @throws PerformerException if it is not to be found */
  public static String tokens(SignatureSpec spec) {
    return choose(
            spec,
            "input for tokens: int32 or int64 [B, L]",
            TOKENS,
            spec.inputs().values(),
            ImportedLanguageModel::isTokens)
        .name();
  }

  /** The input that is 1 where a token is real; null if there is none. */
  public static String mask(SignatureSpec spec, String tokens) {
    return spec.inputs().values().stream()
        .filter(input -> isMask(input) && !input.name().equals(tokens))
        .map(TensorSpec::name)
        .findFirst()
        .orElse(null);
  }

  private static String logits(SignatureSpec spec, int vocabularySize) {
    return choose(
            spec,
            "output for logits: float32 [B, L, V]",
            LOGITS,
            spec.outputs().values(),
            output -> isLogits(output) && (vocabularySize == 0 || mayEndIn(output, vocabularySize)))
        .name();
  }

  private static boolean mayEndIn(TensorSpec spec, int size) {
    Shape shape = spec.shape();
    return shape.isUnknown() || Set.of(-1L, (long) size).contains(shape.get(-1));
  }

  /**
   * The language model that a model's card describes.
   *
   * @param card names signature, tokens, mask and logits
   * @throws PerformerException if the model has no such signature, input or output
   */
  public static LanguageModel of(ImportedModel model, ModelCard.LanguageModel card) {
    SignatureSpec spec = signature(model, card.signature());
    spec.input(card.tokens());
    spec.output(card.logits());
    Optional<String> mask = Optional.ofNullable(card.mask());
    mask.ifPresent(spec::input);
    return of(model, spec, card.tokens(), mask, card.logits());
  }

  private static LanguageModel of(
      ImportedModel model,
      SignatureSpec spec,
      String tokens,
      Optional<String> mask,
      String logits) {
    List<Output<?>> constant = new ArrayList<>();
    for (TensorSpec input : spec.inputs().values()) {
      if (!input.name().equals(tokens) && !mask.equals(Optional.of(input.name()))) {
        if (!hasRank(input, 2)) {
          throw new PerformerException(
              "the input "
                  + input
                  + " of signature "
                  + spec.name()
                  + " is not [B, L]; a language model is trained on tokens and masks only");
        }
        constant.add(model.input(spec.name(), input.name()));
      }
    }
    Output<?> output = model.output(spec.name(), logits);
    if (output.type() != TFloat32.class) {
      throw new PerformerException(
          "the output " + spec.output(logits) + " is no float32; logits must be");
    }
    return new LanguageModel(
        model.graph(),
        model.input(spec.name(), tokens),
        mask.map(name -> model.input(spec.name(), name)),
        constant,
        output.expect(TFloat32.class),
        model.variables(),
        model::restore);
  }

  private static SignatureSpec signature(ImportedModel model, String name) {
    SignatureSpec spec = model.signatures().get(name);
    if (spec == null) {
      throw new PerformerException(
          "the signature "
              + name
              + " was not imported; imported are "
              + model.signatures().keySet());
    }
    return spec;
  }

  private static TensorSpec choose(
      SignatureSpec signature,
      String what,
      List<String> names,
      Collection<TensorSpec> specs,
      Predicate<TensorSpec> fits) {
    List<TensorSpec> candidates = specs.stream().filter(fits).toList();
    for (String name : names) {
      for (TensorSpec candidate : candidates) {
        if (candidate.name().equals(name)) {
          return candidate;
        }
      }
    }
    if (candidates.size() != 1) {
      throw new PerformerException(
          "the signature "
              + signature.name()
              + " has "
              + (candidates.isEmpty() ? "no" : "more than one")
              + " "
              + what
              + "; it has "
              + specs.stream().map(TensorSpec::toString).collect(Collectors.joining(", ")));
    }
    return candidates.get(0);
  }

  private static boolean isTokens(TensorSpec spec) {
    return (spec.type() == DataType.DT_INT32 || spec.type() == DataType.DT_INT64)
        && hasRank(spec, 2)
        && !isMask(spec);
  }

  private static boolean isLogits(TensorSpec spec) {
    return spec.type() == DataType.DT_FLOAT && hasRank(spec, 3);
  }

  private static boolean isMask(TensorSpec spec) {
    return spec.name().contains("mask");
  }

  private static boolean hasRank(TensorSpec spec, int rank) {
    return spec.shape().isUnknown() || spec.shape().numDimensions() == rank;
  }
}
