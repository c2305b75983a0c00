package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.attention.Attention;
import dev.performer.attention.FavorAttention;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.model.AttentionConfig;
import dev.performer.model.FavorConversion;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.softmax.FoundAttention;
import dev.performer.savedmodel.softmax.ImportedAttention;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.tensorflow.Operand;
import org.tensorflow.types.TFloat32;

/** Exact attention in the graph of a SavedModel that is not ours replaced by FAVOR+. */
record ImportedConversion(FavorConversion how) implements ImportedAttention.Replacement {
  ImportedConversion {
    var favor = how.favor();
    require(
        !favor.meantKernel().isCalibrated(),
        "kernel %s needs a calibration, which only models of ours have",
        favor.kernel());
    require(favor.exactHeads() == 0, "heads stay exact in models of ours only; leave layers exact");
  }

  /** What a model attends by, and what is left alone. */
  static List<FoundAttention> found(Path model) {
    try (var attention = ImportedAttention.open(SavedModelDirectory.open(model))) {
      return attention.found();
    }
  }

  /** Writes the model at {@code model}, which {@code source} means, with other attention. */
  Converter.Outcome convert(Path source, Path model, Path target, boolean replace) {
    try (var attention = ImportedAttention.open(SavedModelDirectory.open(model))) {
      Set<Integer> layers = chosen(source, attention);
      List<String> notes = new ArrayList<>(List.of(Converter.note(how, layers)));
      long left = attention.found().stream().filter(FoundAttention::isLeft).count();
      if (left > 0) {
        notes.add("%d softmax ops left alone".formatted(left));
      }
      var first = attention.layers().get(layers.iterator().next());
      attention.write(layers, this, card(model, source, first, notes), target, replace);
      var all = List.copyOf(layers);
      return new Converter.Outcome(
          target, all, String.join("; ", notes), Optional.empty(), attention.found());
    }
  }

  private Set<Integer> chosen(Path source, ImportedAttention attention) {
    int count = attention.layers().size();
    List<FoundAttention> found = attention.found();
    require(
        !found.isEmpty(), "%s: has no exact attention: there is no softmax in its graph", source);
    String text = "%s: has no exact attention that can be replaced; %s";
    require(count > 0, text, source, found.get(0));
    Set<Integer> chosen = new TreeSet<>(how.layers());
    if (chosen.isEmpty()) {
      attention.layers().forEach(layer -> chosen.add(layer.layer()));
    }
    for (int i : chosen) {
      String known = "there is no layer %d; the model has layers 0 to %d";
      require(i >= 0 && i < count, known, i, count - 1);
    }
    return chosen;
  }

  private ModelCard card(Path model, Path source, FoundAttention first, List<String> notes) {
    Optional<ModelCard> old = ModelCard.read(model);
    var origin = old.map(Converter::origin).orElse(ModelCard.Provenance.UNKNOWN);
    var attention = new AttentionConfig.Favor(how.favor().withCausal(first.causal()));
    var from = origin.madeFrom(source, notes);
    return old.map(
            card ->
                ModelCard.of(attention, card.vocabulary(), card.languageModel(), from)
                    .withEmbedding(card.embedding())
                    .withChatTemplate(card.chatTemplate())
                    .withTask(card.task())
                    .withData(card.data()))
        .orElseGet(() -> ModelCard.of(attention, null, null, from));
  }

  @Override
  public Optional<ProjectionMatrix> projection(FoundAttention replaced) {
    return how.favor(exact(replaced), replaced.layer()).draw(replaced.headSize());
  }

  @Override
  public Attention attention(FoundAttention replaced, Operand<TFloat32> projection) {
    return FavorAttention.of(how.favor(exact(replaced), replaced.layer()), projection);
  }

  private static AttentionConfig exact(FoundAttention replaced) {
    return new AttentionConfig.Exact(replaced.causal());
  }
}
