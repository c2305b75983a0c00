package dev.performer.nn;

import static dev.performer.PerformerException.require;
import static dev.performer.attention.Attention.swapPositionsAndHeads;

import dev.performer.attention.Convention;
import dev.performer.attention.FavorConfig;
import dev.performer.attention.modelgarden.KernelAttention;
import dev.performer.attention.modelgarden.KernelAttentionConfig;
import dev.performer.graph.Variable;
import dev.performer.nn.MultiHeadAttention.Projected;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/**
 * Model Garden's KernelAttention.
 *
 * @param projection {@code [M, D]}, or null
 * @param heads H
 * @param dropout rate of the heads' outputs
 */
public record KernelHeads(
    KernelAttentionConfig config, Variable projection, int heads, double dropout)
    implements HeadMixer {

  @Override
  public Mixed mix(Ops tf, Projected x, Operand<TFloat32> keyMask, Dropout drop) {
    KernelAttention attention = new KernelAttention(config);
    Operand<TFloat32> held = projection == null ? null : projection.<TFloat32>read(tf);
    KernelAttention.Outputs<TFloat32> out =
        attention.attend(
            tf,
            swapPositionsAndHeads(tf, x.queries()),
            swapPositionsAndHeads(tf, x.keys()),
            swapPositionsAndHeads(tf, x.values()),
            keyMask,
            drop.isActive() ? attention.trainingProjection(tf, held) : held);
    return new Mixed(
        out.begin().map(begin -> headsFirst(tf, begin, drop)).orElse(null),
        headsFirst(tf, out.rest(), drop));
  }

  private Operand<TFloat32> headsFirst(Ops tf, Operand<TFloat32> x, Dropout drop) {
    return drop.apply(tf, swapPositionsAndHeads(tf, x), dropout);
  }

  @Override
  public Operand<TFloat32> weights(
      Ops tf, Operand<TFloat32> queries, Operand<TFloat32> keys, Operand<TFloat32> keyMask) {
    require(
        config.mixing() instanceof KernelAttentionConfig.Linear
            && !hasBegin()
            && !config.scaleByLength(),
        "attention maps of modelGarden attention exist only without isShortSeq,"
            + " useCausalWindowed, beginKernel and scaleByLength");
    Convention convention = Convention.MODEL_GARDEN;
    if (config.scale().isPresent()) {
      convention =
          convention.withScale(new Convention.Scale(Math.sqrt(config.scale().getAsDouble()), 0));
    }
    FavorConfig favor = FavorConfig.of(config.kernel()).withConvention(convention);
    favor = favor.withFeatures(config.numRandomFeatures());
    return new FavorHeads(favor, projection, heads).weights(tf, queries, keys, keyMask);
  }

  @Override
  public boolean hasBegin() {
    return config.beginKernel() > 0;
  }
}
