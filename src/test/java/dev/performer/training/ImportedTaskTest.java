package dev.performer.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.graph.LossGradients;
import dev.performer.graph.Tensors;
import dev.performer.graph.Variable;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.TaskCard;
import dev.performer.savedmodel.TaskCard.Kind;
import dev.performer.training.ImportedTask.Head;
import dev.performer.training.ImportedTask.Pooling;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Output;
import org.tensorflow.Session;
import org.tensorflow.op.Ops;

/** Losses and gradients of tasks on imported models, against Python's GradientTape. */
class ImportedTaskTest {
  private static final String MADE = "made/tasks";
  private static final Map<String, NpyArray> EXPECTED =
      ReferenceModels.arrays(MADE, "expected.npz");
  private static final int B = 4;

  private static ImportedModel model(String name) {
    return ImportedModel.load(ReferenceModels.directory(MADE).resolve(name));
  }

  private static TaskCard card(Kind kind, String output, boolean probabilities, int count) {
    boolean isOfText = !probabilities;
    List<String> names = Stream.iterate(0, i -> i + 1).limit(count).map(i -> "c" + i).toList();
    return new TaskCard(
        kind,
        "serving_default",
        isOfText ? "input_ids" : null,
        isOfText ? "attention_mask" : null,
        output,
        probabilities ? true : null,
        names,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null);
  }

  private static LabelledBatch texts(Kind kind) {
    int[] ids = EXPECTED.get("input_ids").ints();
    int[] mask = EXPECTED.get("attention_mask").ints();
    int[] targets = {};
    float[] numbers = {};
    float[] weights;
    if (kind == Kind.CLASSIFICATION) {
      targets = EXPECTED.get("class").ints();
      weights = new float[] {1, 1, 1, 1};
    } else if (kind.isOfTokens()) {
      targets = EXPECTED.get("tags").ints();
      weights = Objective.TokenClassification.known(targets);
    } else {
      numbers = EXPECTED.get(kind.hasNumbers() ? "numbers" : "flags").floats();
      weights = Objective.Values.known(numbers);
    }
    return new LabelledBatch(B, 5, ids, mask, targets, weights, numbers, new int[0]);
  }

  @ParameterizedTest
  @CsvSource({
    "classification, CLASSIFICATION, last_hidden_state, MEAN, 3",
    "first, CLASSIFICATION, last_hidden_state, FIRST, 3",
    "pooled, CLASSIFICATION, pooler_output, MEAN, 3",
    "multi-label, MULTI_LABEL, last_hidden_state, MEAN, 3",
    "regression, REGRESSION, last_hidden_state, MEAN, 2",
    "token-classification, TOKEN_CLASSIFICATION, last_hidden_state, MEAN, 3"
  })
  void aNewLayerLearnsAsInPython(
      String name, Kind kind, String output, Pooling pooling, int count) {
    try (ImportedModel model = model("encoder")) {
      TaskCard card = card(kind, output, false, count);
      List<Standardization> units = List.of();
      if (kind.hasNumbers()) {
        float[] numbers = EXPECTED.get("numbers").floats();
        units = List.of(unit(numbers, 0), unit(numbers, 1));
        card = card.withScales(units.stream().map(Standardization::deviation).toList());
      }
      int width = ImportedTask.width(model, card, texts(kind));
      Head head = new Head(pooling, width, null, units, 1);
      ImportedTask task = ImportedTask.of(model, card, head, LossGraph.Options.NONE);
      Map<String, NpyArray> given = ReferenceModels.under(EXPECTED, "head/" + name);
      Map<String, NpyArray> layer = new HashMap<>();
      given.forEach((key, value) -> layer.put("head/" + key, value));
      compare(name, task.trainable(), task.variables(), layer, texts(kind));
    }
  }

  private static Standardization unit(float[] numbers, int column) {
    var values = Stream.iterate(column, i -> i + 2).limit(B).map(i -> (double) numbers[i]);
    return Standardization.of("numbers", values.iterator());
  }

  /** The model's mask, or padding where it has none, keeps padding out of the mean. */
  @Test
  void paddingIsNoPartOfTheMean() {
    try (ImportedModel model = model("encoder")) {
      TaskCard card = card(Kind.CLASSIFICATION, "last_hidden_state", false, 3);
      Head head = new Head(Pooling.MEAN, 6, null, List.of(), 1);
      ImportedTask task = ImportedTask.of(model, card, head, LossGraph.Options.NONE);
      LabelledBatch batch = texts(Kind.CLASSIFICATION);
      int[] other = batch.inputs().clone();
      for (int i = 0; i < other.length; i++) {
        other[i] = batch.mask()[i] == 1 ? other[i] : 7;
      }
      LabelledBatch padded =
          new LabelledBatch(B, 5, other, batch.mask(), batch.targets(), batch.weights());
      try (Session session = new Session(model.graph(), false)) {
        task.trainable().initializer().accept(session);
        assertThat(task.output(session, padded, "logits"))
            .isEqualTo(task.output(session, batch, "logits"));
      }
    }
  }

  private static LabelledBatch arrays(String... targets) {
    Map<String, NpyArray> arrays = new HashMap<>(Map.of("x", EXPECTED.get("x")));
    Stream.of(targets).forEach(target -> arrays.put(target, EXPECTED.get(target)));
    return LabelledBatch.of(B, new int[0], new float[] {1, 1, 1, 1}, new float[0], arrays);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "onset=binary-cross-entropy:hits",
        "note=binary-cross-entropy-of-probabilities:hits",
        "splice=cross-entropy-of-probabilities:onehot",
        "splice=cross-entropy-of-probabilities:ids",
        "classes=cross-entropy:some",
        "level=mae:levels",
        "level=mse:holes",
        "level=mse:levels note=binary-cross-entropy-of-probabilities:hits*0.25"
      })
  void lossesOfOutputsAreThoseOfPython(String losses) {
    List<LossTerm> terms = Stream.of(losses.split(" ")).map(LossTerm::parse).toList();
    assertThat(terms.toString()).isEqualTo("[" + losses.replace(" ", ", ") + "]");
    try (ImportedModel model = model("maps")) {
      LabelledBatch batch = arrays(terms.stream().map(LossTerm::target).toArray(String[]::new));
      ImportedLoss loss = ImportedLoss.of(model, "serving_default", terms, batch);
      compare(losses, loss.trainable(), model.variables(), Map.of(), batch);
      LabelledBatch more = batch.withRows(9, true); // they weigh nothing
      compare(losses, loss.trainable(), model.variables(), Map.of(), more);
    }
  }

  @ParameterizedTest
  @CsvSource({"own classification, pooled, class, 3", "own binary, single, binary, 2"})
  void probabilitiesOfTheModelItself(String name, String output, String labels, int count) {
    try (ImportedModel model = model("maps")) {
      TaskCard card = card(Kind.CLASSIFICATION, output, true, count);
      ImportedTask task = ImportedTask.of(model, card, LossGraph.Options.NONE);
      LabelledBatch of = arrays();
      LabelledBatch batch =
          LabelledBatch.of(B, EXPECTED.get(labels).ints(), of.weights(), new float[0], of.arrays());
      compare(name, task.trainable(), task.variables(), Map.of(), batch);
    }
  }

  private static void compare(
      String name,
      Trainable trainable,
      List<Variable> variables,
      Map<String, NpyArray> given,
      LabelledBatch batch) {
    var known = ReferenceModels.under(EXPECTED, name + "/grad");
    assertThat(known).isNotEmpty();
    List<Variable> wanted =
        known.keySet().stream()
            .map(key -> variables.stream().filter(v -> v.name().endsWith(key)).findFirst())
            .map(found -> found.orElseThrow())
            .toList();
    var gradients = LossGradients.find(trainable.graph(), trainable.loss(), wanted);
    try (Session session = new Session(trainable.graph(), false)) {
      trainable.initializer().accept(session);
      List<Variable> replaced =
          variables.stream().filter(v -> given.containsKey(v.name())).toList();
      assertThat(replaced).hasSameSizeAs(given.keySet());
      PerformerModels.assign(
          Ops.create(trainable.graph()).withSubScope("given"), session, replaced, given);
      List<Output<?>> fetched = new ArrayList<>(List.of(trainable.loss()));
      gradients.forEach(gradient -> fetched.add(gradient.orElseThrow()));
      try (Feed feed = trainable.feed().apply(batch);
          var result = feed.run(session, fetched)) {
        double loss = EXPECTED.get(name + "/loss").floats()[0];
        assertThat(Tensors.floats(result.get(0))[0]).isCloseTo((float) loss, within(1e-5 * loss));
        for (int i = 0; i < wanted.size(); i++) {
          float[] python = known.get(List.copyOf(known.keySet()).get(i)).floats();
          float[] java = Tensors.floats(result.get(i + 1));
          double largest = 0;
          double distance = 0;
          for (int j = 0; j < python.length; j++) {
            largest = Math.max(largest, Math.abs(python[j]));
            distance = Math.max(distance, Math.abs(python[j] - java[j]));
          }
          assertThat(distance)
              .as("%s of %s", wanted.get(i).name(), name)
              .isLessThan(1e-5 * largest);
        }
      }
    }
  }

  private static Offset<Float> within(double distance) {
    return Offset.offset((float) distance);
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (ImportedModel model = model("maps")) {
      assertRefused(model, "level=mse:hits", "does not fit the output level [4, 6]", "must be [6]");
      assertRefused(model, "splice=cross-entropy:onehot", "comes from a Softmax");
      assertRefused(model, "note=binary-cross-entropy:hits", "comes from a Sigmoid");
      assertRefused(model, "other=mse:hits", "has no output other; it has [");
      for (String name : List.of("note", "pooled", "level")) {
        TaskCard card = card(Kind.CLASSIFICATION, name, true, 5);
        assertThatThrownBy(() -> ImportedTask.of(model, card, LossGraph.Options.NONE))
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining("does not fit classification of 5 classes");
      }
    }
    for (String text : List.of("level", "level=mse", "level=mse:x*", "level=mse:x*-1", "a=b=c:d")) {
      assertThatThrownBy(() -> LossTerm.parse(text)).isInstanceOf(PerformerException.class);
    }
    assertThatThrownBy(() -> LossTerm.parse("level=msse:x")).hasMessageContaining("mean 'mse'");
  }

  private static void assertRefused(ImportedModel model, String loss, String... messages) {
    LossTerm term = LossTerm.parse(loss);
    assertThatThrownBy(
            () -> ImportedLoss.of(model, "serving_default", List.of(term), arrays(term.target())))
        .isInstanceOf(PerformerException.class)
        .hasMessageContainingAll(Arrays.copyOf(messages, messages.length, CharSequence[].class));
  }
}
