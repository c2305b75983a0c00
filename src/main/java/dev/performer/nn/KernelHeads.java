package dev.performer.nn;

import dev.performer.PerformerException;
import dev.performer.attention.Attention;
import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.modelgarden.KernelAttention;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.graph.Variable;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Model Garden's KernelAttention.
 *
 * @param config its arguments
 * @param projection {@code [M, D]}, or null
 * @param heads H
 * @param dropout rate of the heads' outputs
 */
public record KernelHeads(
    KernelAttentionConfig config, Variable projection, int heads, double dropout)
    implements HeadMixer {

  @Override
  public Mixed mix(
      Ops tf,
      Operand<TFloat32> queries,
      Operand<TFloat32> keys,
      Operand<TFloat32> values,
      Operand<TFloat32> keyMask,
      Dropout drop) {
    KernelAttention attention = new KernelAttention(config);
    Operand<TFloat32> held = projection == null ? null : projection.<TFloat32>read(tf);
    KernelAttention.Outputs<TFloat32> out =
        attention.attend(
            tf,
            Attention.swapPositionsAndHeads(tf, queries),
            Attention.swapPositionsAndHeads(tf, keys),
            Attention.swapPositionsAndHeads(tf, values),
            keyMask,
            drop.isActive() ? attention.trainingProjection(tf, held) : held);
    return new Mixed(
        out.begin().map(begin -> headsFirst(tf, begin, drop)).orElse(null),
        headsFirst(tf, out.rest(), drop));
  }

  private Operand<TFloat32> headsFirst(Ops tf, Operand<TFloat32> x, Dropout drop) {
    return drop.apply(tf, Attention.swapPositionsAndHeads(tf, x), dropout);
  }

  @Override
  public Operand<TFloat32> weights(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
    if (!(config.mixing() instanceof KernelAttentionConfig.Linear)
        || hasBegin()
        || config.scaleByLength()) {
      throw new PerformerException(
          "attention maps of modelGarden attention exist only without isShortSeq,"
              + " useCausalWindowed, beginKernel and scaleByLength");
    }
    Convention convention = Convention.MODEL_GARDEN;
    if (config.scale().isPresent()) {
      convention =
          convention.withScale(new Convention.Scale(Math.sqrt(config.scale().getAsDouble()), 0));
    }
    FavorConfig favor =
        FavorConfig.of(config.kernel())
            .withConvention(convention)
            .withFeatures(config.numRandomFeatures());
    return new FavorHeads(favor, projection, heads).weights(tf, queries, keys, keyMask);
  }

  @Override
  public boolean hasBegin() {
    return config.beginKernel() > 0;
  }
}
