package dev.performer.model;

import dev.performer.attention.ExactAttention;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.Variable;
import dev.performer.nn.ExactHeads;
import dev.performer.nn.FavorHeads;
import dev.performer.nn.HeadMixer;
import dev.performer.nn.Initializer;
import dev.performer.nn.KernelHeads;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.Mlp;
import dev.performer.nn.MultiHeadAttention;
import dev.performer.nn.Parameters;
import java.util.HashMap;
import java.util.Map;

/** Makes the blocks of a configuration, and draws their projections. */
final class Blocks {
  /** The variable of a projection. */
  static final String PROJECTION = "projection";

  private final PerformerConfig config;
  private final boolean drawsProjections;
  private final Map<AttentionConfig, ProjectionMatrix> drawn = new HashMap<>();

  /**
   * @param drawsProjections false where only names and shapes matter
   */
  Blocks(PerformerConfig config, boolean drawsProjections) {
    this.config = config;
    this.drawsProjections = drawsProjections;
  }

  /** Block i of the encoder, or of the only stack. */
  Block encoder(Parameters parameters, int i) {
    Parameters in = parameters.in("layer_" + i);
    MultiHeadAttention self = attention(in.in("attention"), config.attentionOf(i));
    return block(in, self, norm(in.in("attention_norm")), null, null);
  }

  /** Block i of the decoder. */
  Block decoder(Parameters parameters, int i) {
    Parameters in = parameters.in("layer_" + i);
    MultiHeadAttention self = attention(in.in("self_attention"), config.decoderAttentionOf(i));
    LayerNorm selfNorm = norm(in.in("self_attention_norm"));
    MultiHeadAttention cross = attention(in.in("cross_attention"), config.crossAttentionOf(i));
    return block(in, self, selfNorm, cross, norm(in.in("cross_attention_norm")));
  }

  private Block block(
      Parameters in,
      MultiHeadAttention self,
      LayerNorm selfNorm,
      MultiHeadAttention cross,
      LayerNorm crossNorm) {
    Mlp mlp =
        Mlp.create(
            in.in("mlp"),
            config.hiddenSize(),
            config.mlpSize(),
            config.activation(),
            config.dropout().mlp());
    return new Block(
        self,
        selfNorm,
        cross,
        crossNorm,
        mlp,
        norm(in.in("mlp_norm")),
        config.normalization().position(),
        config.dropout().residual());
  }

  /** A layer norm of the configuration. */
  LayerNorm norm(Parameters parameters) {
    return LayerNorm.create(
        parameters,
        config.hiddenSize(),
        config.normalization().epsilon(),
        config.normalization().formula());
  }

  private MultiHeadAttention attention(Parameters parameters, AttentionConfig attention) {
    return MultiHeadAttention.create(
        parameters,
        config.hiddenSize(),
        config.heads(),
        config.headSize(),
        config.attentionBias(),
        mixer(parameters, attention));
  }

  private HeadMixer mixer(Parameters parameters, AttentionConfig attention) {
    double dropout = config.dropout().attention();
    Variable projection = projection(parameters, attention);
    if (attention instanceof AttentionConfig.Favor favor) {
      return new FavorHeads(favor.config(), projection, config.heads());
    } else if (attention instanceof AttentionConfig.ModelGarden garden) {
      return new KernelHeads(garden.config(), projection, config.heads(), dropout);
    }
    AttentionConfig.Exact exact = (AttentionConfig.Exact) attention;
    return new ExactHeads(new ExactAttention(exact.causal()), exact.maskQueries(), dropout);
  }

  private Variable projection(Parameters parameters, AttentionConfig attention) {
    int rows = attention.projectionRows();
    if (rows == 0) {
      return null;
    }
    int size = config.headSize();
    float[] values =
        drawsProjections
            // Layers that share one projection draw it once.
            ? drawn.computeIfAbsent(attention, a -> a.projection(size).orElseThrow()).values()
            : new float[0];
    return parameters.fixed(PROJECTION, new Initializer.Given(values), rows, size);
  }
}
