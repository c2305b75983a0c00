package dev.performer.model;

import dev.performer.attention.ExactAttention;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.Variable;
import dev.performer.model.Stack.Block;
import dev.performer.model.Stack.Mlp;
import dev.performer.nn.HeadMixer;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.MultiHeadAttention;
import dev.performer.nn.Parameters;
import dev.performer.nn.Parameters.Initializer;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/** Makes the blocks of a configuration, and draws their projections. */
final class Blocks {
  private final PerformerConfig config;
  private final boolean draws;
  private final Map<AttentionConfig, Optional<ProjectionMatrix>> drawn = new HashMap<>();

  /** Where {@code draws} is false, only names and shapes of projections matter. */
  Blocks(PerformerConfig config, boolean draws) {
    this.config = config;
    this.draws = draws;
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
    Mlp mlp = Mlp.create(in.in("mlp"), config);
    LayerNorm mlpNorm = norm(in.in("mlp_norm"));
    var position = config.normalization().position();
    double dropout = config.dropout().residual();
    return new Block(self, selfNorm, cross, crossNorm, mlp, mlpNorm, position, dropout);
  }

  /** A layer norm of the configuration. */
  LayerNorm norm(Parameters in) {
    var norm = config.normalization();
    return LayerNorm.create(in, config.hiddenSize(), norm.epsilon(), norm.formula());
  }

  private MultiHeadAttention attention(Parameters in, AttentionConfig attention) {
    PerformerConfig c = config;
    HeadMixer mixer = mixer(in, attention);
    return MultiHeadAttention.create(
        in, c.hiddenSize(), c.heads(), c.headSize(), c.attentionBias(), mixer);
  }

  private HeadMixer mixer(Parameters in, AttentionConfig attention) {
    double dropout = config.dropout().attention();
    Variable projection = projection(in, attention);
    if (attention instanceof AttentionConfig.Favor favor) {
      return new HeadMixer.Favor(favor.config(), projection, config.heads());
    } else if (attention instanceof AttentionConfig.ModelGarden garden) {
      return new HeadMixer.ModelGarden(garden.config(), projection, config.heads(), dropout);
    }
    AttentionConfig.Exact exact = (AttentionConfig.Exact) attention;
    return new HeadMixer.Exact(new ExactAttention(exact.causal()), exact.maskQueries(), dropout);
  }

  private Variable projection(Parameters in, AttentionConfig attention) {
    int rows = attention.projectionRows();
    if (rows == 0) {
      return null;
    }
    float[] values = draws ? draw(attention).orElseThrow().values() : new float[0];
    return in.fixed("projection", new Initializer.Given(values), rows, config.headSize());
  }

  /** The projection of an attention, if it has one; layers that share one draw it once. */
  Optional<ProjectionMatrix> draw(AttentionConfig attention) {
    return drawn.computeIfAbsent(attention, a -> a.projection(config.headSize()));
  }
}
