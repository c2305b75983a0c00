package dev.performer.training;

import dev.performer.PerformerException;
import dev.performer.checkpoint.ModelWeights;
import dev.performer.checkpoint.ModelWeights.OptimizerState;
import dev.performer.data.JsonTokenizer;
import dev.performer.data.LetterTokenizer;
import dev.performer.data.NpyArray;
import dev.performer.data.ProteinVocabulary;
import dev.performer.data.Tokenizer;
import dev.performer.data.Vocabulary;
import dev.performer.graph.Variables;
import dev.performer.model.Performer;
import dev.performer.model.PerformerConfig;
import dev.performer.model.Task;
import dev.performer.model.TextEmbedding;
import dev.performer.savedmodel.CardTokenizer;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.training.optim.Optimizer;
import dev.performer.training.optim.OptimizerOps;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.DoubleStream;
import org.tensorflow.Graph;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/**
 * A checkpoint's model, made whole and ready to be written.
 *
 * @param weights all variables of the model, projections included
 * @param notes what was assumed, one line each
 * @param path the checkpoint
 * @param tokenizer what its token ids mean, if that is known
 * @param embedding how texts get vectors, if that is known
 */
public record ImportedWeights(
    ModelWeights source,
    Map<String, NpyArray> weights,
    List<String> notes,
    Path path,
    Optional<Tokenizer> tokenizer,
    Optional<TextEmbedding> embedding) {
  private static final long SEED = 0;

  /** Draws what the checkpoint lacks: projections as configured; weights if that is allowed. */
  public static ImportedWeights of(ModelWeights source, Path path, boolean allowMissing) {
    PerformerConfig config = source.config();
    Map<String, NpyArray> weights = new LinkedHashMap<>(source.weights());
    Performer.projections(config)
        .forEach(
            (name, m) -> weights.putIfAbsent(name, NpyArray.of(m.values(), m.rows(), m.columns())));
    List<String> notes = new ArrayList<>(source.notes());
    List<String> missing = new ArrayList<>(Performer.shapes(config).keySet());
    missing.removeAll(weights.keySet());
    String names = String.join(", ", missing);
    if (!missing.isEmpty() && !allowMissing) {
      String text = "%s: has no %s; they are drawn anew where weights may be missing";
      throw new PerformerException(text.formatted(path, names)).settledBy("allowMissing");
    }
    if (!missing.isEmpty()) {
      Map<String, NpyArray> drawn = drawn(config);
      missing.forEach(name -> weights.put(name, drawn.get(name)));
      notes.add("drawn anew, as the checkpoint has none: " + names);
    }
    Optional<Tokenizer> known = source.vocabulary().map(v -> new LetterTokenizer(name(v), v));
    return new ImportedWeights(
        source, Map.copyOf(weights), List.copyOf(notes), path, known, source.embedding());
  }

  private static Map<String, NpyArray> drawn(PerformerConfig config) {
    try (Graph graph = new Graph();
        Session session = new Session(graph)) {
      Variables variables = new Variables(Ops.create(graph));
      Performer.build(Ops.create(graph), variables, config, SEED);
      variables.initialize(session);
      return PerformerModels.values(session, variables.all());
    }
  }

  /** The same with a tokenizer that has no more tokens than the model. */
  public ImportedWeights withTokenizer(Tokenizer other) {
    int size = source.config().vocabularySize();
    if (size > 0 && other.size() > size) {
      String text =
          "%s: the model has %d tokens, but its tokenizer %s has %d; give the one it was trained with";
      throw new PerformerException(text.formatted(path, size, other.label(), other.size()))
          .settledBy("tokenizer");
    }
    return new ImportedWeights(source, weights, notes, path, Optional.of(other), embedding);
  }

  /** The same with how texts get vectors, and what is not followed of that. */
  public ImportedWeights withEmbedding(Optional<TextEmbedding> how, List<String> more) {
    List<String> all = new ArrayList<>(notes);
    all.addAll(more);
    return new ImportedWeights(source, weights, List.copyOf(all), path, tokenizer, how);
  }

  /** The names of weights that hold NaN or infinity, sorted. */
  public List<String> notFinite() {
    var names = weights.keySet().stream().sorted();
    return names
        .filter(n -> !DoubleStream.of(weights.get(n).doubles()).allMatch(Double::isFinite))
        .toList();
  }

  public void write(Path target, boolean replace) {
    PerformerModels.write(source.config(), weights, card(), optimizer(), target, replace);
  }

  private ModelCard card() {
    PerformerConfig config = source.config();
    Long step = source.optimizer().map(OptimizerState::step).orElse(null);
    return ModelCard.of(
            config.attentionOf(0),
            tokenizer.map(ModelCards::vocabulary).orElse(null),
            PerformerModels.languageModel(config, masking(config)),
            ModelCard.Provenance.imported(path, source.scheme(), notes, step))
        .withEmbedding(embedding.orElse(null))
        .withChatTemplate(chatTemplate().orElse(null));
  }

  private Optional<String> chatTemplate() {
    return tokenizer.filter(JsonTokenizer.class::isInstance).isPresent()
        ? JsonTokenizer.chatTemplateBeside(path)
        : Optional.empty();
  }

  private static String name(Vocabulary vocabulary) {
    return vocabulary.equals(ProteinVocabulary.google()) ? CardTokenizer.PROTEIN : "imported";
  }

  /** Only protein_lm's masked models are evaluated with masks drawn from their tokens. */
  private ModelCard.Masking masking(PerformerConfig config) {
    boolean isProteinLm = source.scheme().contains("protein_lm");
    String evaluation = isProteinLm ? ModelCard.Masking.PROTEIN_LM : null;
    return source
        .masking()
        .filter(m -> config.task() == Task.MASKED_LM)
        .map(m -> new ModelCard.Masking(m.rate(), m.mask(), m.random(), evaluation))
        .orElse(null);
  }

  private Map<String, NpyArray> optimizer() {
    Map<String, NpyArray> values = new LinkedHashMap<>();
    if (source.optimizer().isPresent()) {
      OptimizerState state = source.optimizer().get();
      values.put(slot("step"), NpyArray.of(new long[] {state.step()}));
      state.firstMoments().forEach((name, m) -> values.put(slot("m/" + name), m));
      state.secondMoments().forEach((name, v) -> values.put(slot("v/" + name), v));
    }
    return values;
  }

  private static String slot(String name) {
    return Variables.checkpointKey(OptimizerOps.scope(Optimizer.ADAMW) + "/" + name);
  }
}
