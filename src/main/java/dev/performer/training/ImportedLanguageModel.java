package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.data.Vocabulary;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.savedmodel.TensorSpec;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;
import org.tensorflow.Output;
import org.tensorflow.ndarray.Shape;
import org.tensorflow.proto.DataType;
import org.tensorflow.types.TFloat32;

/**
 * Finds the tensors that make a SavedModel a language model: what its {@code performer.json} says, else the one set of
 * tensors that fits.
 */
public final class ImportedLanguageModel {
  private ImportedLanguageModel() {}

  /**
   * Says which tensors of a signature are tokens, mask and logits.
   *
   * @param said what is known already, any part of which may be null; the rest is looked for
   * @param vocabularySize size of the last dimension of the logits where it is known, else 0
   * @throws PerformerException if no tensor fits, or several do: lists them
   */
  public static ModelCard.LanguageModel resolve(
      Path model, SignatureSpec signature, ModelCard.LanguageModel said, int vocabularySize) {
    String tokens = said == null ? null : said.tokens();
    String mask = said == null ? null : said.mask();
    String logits = said == null ? null : said.logits();
    ModelCard.Objective objective = said == null ? null : said.objective();
    if (tokens == null) {
      tokens = tokens(model, signature);
    }
    signature.input(tokens);
    if (mask == null) {
      mask = mask(signature, tokens);
    } else {
      signature.input(mask);
    }
    if (logits == null) {
      logits = logits(model, signature, vocabularySize);
    }
    signature.output(logits);
    return new ModelCard.LanguageModel(signature.name(), tokens, mask, logits, objective);
  }

  /**
   * The trainable view of an imported model with one signature, whose tensors are found by type, shape and name.
   *
   * @throws PerformerException if no tensor fits, or several do: lists them
   */
  public static LanguageModel of(ImportedModel model, Vocabulary vocabulary) {
    Path path = model.directory().path();
    SignatureSpec signature = model.signatures().values().iterator().next();
    return of(model, resolve(path, signature, null, vocabulary.size()));
  }

  /**
   * The trainable view of an imported model; the model still owns the graph.
   *
   * @param tensors from {@link #resolve}
   * @throws PerformerException if the logits are not float32
   */
  @SuppressWarnings("unchecked")
  public static LanguageModel of(ImportedModel model, ModelCard.LanguageModel tensors) {
    SignatureSpec signature = model.signatures().get(tensors.signature());
    Output<?> logits = model.output(tensors.signature(), tensors.logits());
    if (logits.type() != TFloat32.class) {
      throw new PerformerException(
          model.directory().path() + ": output " + tensors.logits() + " is " + logits.dataType() + "; logits must be float32");
    }
    List<Output<?>> zeros = new ArrayList<>();
    for (String name : signature.inputs().keySet()) {
      if (!name.equals(tensors.tokens()) && !name.equals(tensors.mask())) {
        zeros.add(model.input(tensors.signature(), name));
      }
    }
    return new LanguageModel(
        model.graph(),
        model.input(tensors.signature(), tensors.tokens()),
        Optional.ofNullable(tensors.mask()).map(name -> model.input(tensors.signature(), name)),
        zeros,
        (Output<TFloat32>) logits,
        model.variables(),
        model::restore);
  }

  /** The input that is 1 where a token is real, by its name; null if there is none. */
  public static String mask(SignatureSpec signature, String tokens) {
    return signature.inputs().keySet().stream()
        .filter(name -> !name.equals(tokens) && name.toLowerCase(Locale.ROOT).contains("mask"))
        .findFirst()
        .orElse(null);
  }

  /**
   * The input that takes token ids, by its type, rank and name.
   *
   * @throws PerformerException if none fits, or several do: lists them
   */
  public static String tokens(Path model, SignatureSpec signature) {
    List<TensorSpec> integers =
        signature.inputs().values().stream().filter(s -> isInteger(s) && rank(s, 2)).toList();
    for (Predicate<String> wanted :
        List.<Predicate<String>>of(
            name -> true,
            name -> name.equals("tokens"),
            name -> name.contains("word_ids") || name.contains("input_ids"),
            name -> name.contains("token") && !name.contains("type"))) {
      List<String> fitting = integers.stream().map(TensorSpec::name).filter(wanted).toList();
      if (fitting.size() == 1) {
        return fitting.get(0);
      }
    }
    throw new PerformerException(
        model + ": no single input of signature " + signature.name() + " is token ids [B, L]; it has " + signature.inputs().values() + "; say which with --tokens");
  }

  private static String logits(Path model, SignatureSpec signature, int vocabularySize) {
    List<TensorSpec> candidates =
        signature.outputs().values().stream()
            .filter(s -> s.type() == DataType.DT_FLOAT && rank(s, 3))
            .filter(s -> vocabularySize == 0 || last(s) < 0 || last(s) == vocabularySize)
            .toList();
    if (candidates.size() != 1) {
      List<TensorSpec> named = candidates.stream().filter(s -> s.name().contains("logits")).toList();
      if (named.size() != 1) {
        throw new PerformerException(
            model + ": no single output of signature " + signature.name() + " is logits [B, L, vocabulary]; it has " + signature.outputs().values() + "; say which with --logits");
      }
      candidates = named;
    }
    return candidates.get(0).name();
  }

  private static boolean isInteger(TensorSpec spec) {
    return spec.type() == DataType.DT_INT32 || spec.type() == DataType.DT_INT64;
  }

  private static boolean rank(TensorSpec spec, int rank) {
    Shape shape = spec.shape();
    return shape.isUnknown() || shape.numDimensions() == rank;
  }

  private static long last(TensorSpec spec) {
    Shape shape = spec.shape();
    return shape.isUnknown() ? -1 : shape.get(shape.numDimensions() - 1);
  }
}
