package dev.performer.training.optim;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.data.Labels;
import dev.performer.data.StrictJson;
import java.util.List;
import java.util.Locale;

/**
 * How weights follow their gradients. In JSON and YAML a name, {@code adamw}, or an object with the
 * name and the constants that differ from the defaults, {@code {name: adamw, beta2: 0.999}}.
 *
 * <p>Weight decay is decoupled everywhere: {@code x ← x − rate·decay·x} with x as before the step.
 * Biases, normalisations and vectors are spared unless {@code decaysAll} is set.
 */
@JsonPropertyOrder("name")
public sealed interface Optimizer {
  /** Share of a weight that is taken away per step and unit of learning rate. */
  double weightDecay();

  /** Whether weight decay spares nothing, as in Flax. */
  boolean decaysAll();

  /**
   * Adam with decoupled weight decay; the defaults are protein_lm's, with BERT's weight decay.
   *
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment
   * @param epsilon added to the root of the second moment, outside the root
   * @see <a href="https://arxiv.org/abs/1711.05101">Decoupled weight decay regularization</a>
   */
  record AdamW(double beta1, double beta2, double epsilon, double weightDecay, boolean decaysAll)
      implements Optimizer {
    public AdamW {
      fraction("beta1", beta1);
      fraction("beta2", beta2);
      positive("epsilon", epsilon);
      notNegative("weightDecay", weightDecay);
    }
  }

  /**
   * Adafactor: second moments of a matrix as one sum per row and one per column. A tensor of more
   * axes is seen as the matrix whose sides are nearest to each other.
   *
   * @param decayExponent c of {@code β₂ = 1 − t^−c}
   * @param epsilon1 added to squared gradients
   * @param epsilon2 least scale of a parameter, where rates are relative
   * @param clipThreshold greatest root mean square of an update
   * @param beta1 decay of a first moment; 0 for none
   * @param relative whether the learning rate is relative to the root mean square of a parameter
   * @param smallestFactored matrices with a side below this keep a moment per element
   * @see <a href="https://arxiv.org/abs/1804.04235">Adafactor, algorithms 4 to 6</a>
   */
  record Adafactor(
      double decayExponent,
      double epsilon1,
      double epsilon2,
      double clipThreshold,
      double beta1,
      boolean relative,
      int smallestFactored,
      double weightDecay,
      boolean decaysAll)
      implements Optimizer {
    public Adafactor {
      positive("decayExponent", decayExponent);
      positive("epsilon1", epsilon1);
      positive("epsilon2", epsilon2);
      positive("clipThreshold", clipThreshold);
      fraction("beta1", beta1);
      positive("smallestFactored", smallestFactored);
      notNegative("weightDecay", weightDecay);
    }
  }

  /**
   * Gradient descent with momentum: {@code v ← μv + g, x ← x − rate·v}; with Nesterov's look ahead
   * {@code x ← x − rate·(g + μv)}.
   *
   * @param momentum μ; 0 for none
   * @param nesterov whether to look ahead
   */
  record Sgd(double momentum, boolean nesterov, double weightDecay, boolean decaysAll)
      implements Optimizer {
    public Sgd {
      fraction("momentum", momentum);
      notNegative("weightDecay", weightDecay);
      require(!nesterov || momentum > 0, "optimizer: nesterov needs momentum above 0");
    }
  }

  /**
   * Lion: {@code x ← x − rate·sign(β₁m + (1−β₁)g), m ← β₂m + (1−β₂)g}.
   *
   * @param beta1 weight of the momentum in the update
   * @param beta2 decay of the momentum
   * @see <a href="https://arxiv.org/abs/2302.06675">Symbolic discovery of optimization
   *     algorithms</a>
   */
  record Lion(double beta1, double beta2, double weightDecay, boolean decaysAll)
      implements Optimizer {
    public Lion {
      fraction("beta1", beta1);
      fraction("beta2", beta2);
      notNegative("weightDecay", weightDecay);
    }
  }

  /** AdamW with its defaults. */
  AdamW ADAMW = new AdamW(0.9, 0.98, 1e-9, 0.01, false);

  /** Every optimizer with its defaults. */
  List<Optimizer> DEFAULTS =
      List.of(
          ADAMW,
          new Adafactor(0.8, 1e-30, 1e-3, 1.0, 0, true, 128, 0, false),
          new Sgd(0.9, false, 0, false),
          new Lion(0.9, 0.99, 0.1, false));

  /** The name in recipes, such as {@code adamw}. */
  @JsonProperty("name")
  default String label() {
    return getClass().getSimpleName().toLowerCase(Locale.ROOT);
  }

  /** The optimizer of a name, with its defaults; the error for an unknown one names the nearest. */
  static Optimizer named(String name) {
    List<String> names = DEFAULTS.stream().map(Optimizer::label).toList();
    String nearest = Labels.nearest(name, names);
    String text = "no optimizer '%s'; did you mean %s? Known: %s";
    require(names.contains(name), text, name, nearest, String.join(", ", names));
    return DEFAULTS.get(names.indexOf(name));
  }

  /** From a name, or an object with a name; errors name an unknown key or what is out of range. */
  @JsonCreator(mode = JsonCreator.Mode.DELEGATING)
  static Optimizer of(JsonNode node) {
    if (node.isTextual()) {
      return named(node.textValue());
    }
    require(
        node.path("name").isTextual(),
        "optimizer: expected a name such as adamw, or an object with the key name");
    Optimizer base = named(node.path("name").textValue());
    ObjectNode keys = (ObjectNode) base.json();
    keys.setAll((ObjectNode) node);
    keys.remove("name");
    return StrictJson.bind(keys, base.getClass(), "optimizer " + base.label());
  }

  /** Name and all constants. */
  default JsonNode json() {
    return StrictJson.tree(this);
  }

  private static void fraction(String key, double value) {
    check(value >= 0 && value < 1, key, "in [0, 1)", value);
  }

  private static void positive(String key, double value) {
    check(value > 0, key, "above 0", value);
  }

  private static void notNegative(String key, double value) {
    check(value >= 0, key, "at least 0", value);
  }

  private static void check(boolean holds, String key, String range, double value) {
    require(holds, "optimizer: %s must be %s, not %s", key, range, value);
  }
}
