package dev.performer.model;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.projection.ProjectionMatrix;
import dev.performer.graph.Recomputation;
import dev.performer.graph.Variable;
import dev.performer.model.Performer.Outputs;
import dev.performer.model.PerformerConfig.Normalization;
import dev.performer.nn.Activation;
import dev.performer.nn.Dense;
import dev.performer.nn.Dropout;
import dev.performer.nn.HeadCalibration;
import dev.performer.nn.HeadGates;
import dev.performer.nn.HeadMixer;
import dev.performer.nn.LayerNorm;
import dev.performer.nn.MultiHeadAttention;
import dev.performer.nn.Parameters;
import dev.performer.nn.Parameters.Initializer;
import dev.performer.nn.Sinusoids.Rotation;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;
import org.tensorflow.types.TInt32;

/** Embeddings, blocks, and a last norm or null: the encoder or only stack, or the decoder. */
record Stack(Embeddings embeddings, List<Block> blocks, LayerNorm norm) {
  /** What one pass computes: {@code [B, L, E]} before the blocks and after the last norm. */
  record Pass(Operand<TFloat32> embedded, Operand<TFloat32> hidden, List<Outputs.Layer> layers) {}

  /**
   * What all blocks of one pass share; {@code mixing} is null, or gives null, for self attention of
   * their own, {@code parts} for blocks that are computed once.
   */
  record Context(
      Operand<TFloat32> mask,
      Rotation rotation,
      Operand<TFloat32> encoded,
      Operand<TFloat32> encodedMask,
      Dropout drop,
      Performer.Mixing mixing,
      Recomputation parts) {
    /** Of one block, with what a decoder sees, or nothing. */
    private Context of(List<Operand<TFloat32>> seen, Dropout own) {
      var encoder = seen.isEmpty() ? null : seen.get(0);
      return new Context(mask, rotation, encoder, encodedMask, own, mixing, null);
    }
  }

  /** The encoder or the only stack; or, of an encoder whose tokens it shares, the decoder. */
  static Stack of(Parameters in, PerformerConfig config, Blocks made, Stack encoder) {
    boolean decodes = encoder != null;
    var shared = decodes ? encoder.embeddings.tokens() : null;
    var embeddings = Embeddings.create(in, config, made, shared);
    List<Block> blocks = new ArrayList<>();
    for (int i = 0; i < (decodes ? config.decoderLayers() : config.layers()); i++) {
      blocks.add(made.block(in, i, decodes));
    }
    LayerNorm norm = config.normalization().last() ? made.norm(in.in("final_norm")) : null;
    return new Stack(embeddings, blocks, norm);
  }

  /** Arguments as of {@link Embeddings#apply}. */
  Pass apply(
      Ops tf, Operand<TInt32> tokens, Operand<TInt32> types, Operand<TInt32> at, Context context) {
    Operand<TFloat32> embedded =
        embeddings.apply(tf, tokens, context.mask(), types, at, context.drop());
    List<Outputs.Layer> layers = new ArrayList<>();
    Operand<TFloat32> x = embedded;
    for (int i = 0; i < blocks.size(); i++) {
      boolean isKept = context.parts() == null;
      layers.add(isKept ? blocks.get(i).apply(tf, x, context, i) : again(tf, x, context, i));
      x = layers.get(i).hidden();
    }
    return new Pass(embedded, norm == null ? x : norm.apply(tf, x), List.copyOf(layers));
  }

  /** A block that is computed once more for its gradient, with the same dropout. */
  private Outputs.Layer again(Ops tf, Operand<TFloat32> x, Context context, int number) {
    Block block = blocks.get(number);
    List<Operand<TFloat32>> inputs = new ArrayList<>(List.of(x));
    if (block.cross() != null) {
      inputs.add(context.encoded());
    }
    Dropout before = context.drop().again();
    boolean[] isFirst = {true};
    Recomputation.Part part =
        (ops, in) -> {
          Dropout own = isFirst[0] ? context.drop() : before.again();
          isFirst[0] = false;
          var seen = in.subList(1, in.size());
          return block.apply(ops, in.get(0), context.of(seen, own), number).all();
        };
    return Outputs.Layer.of(context.parts().add(tf, inputs, part));
  }

  /**
   * Self attention, cross attention in a decoder (else null), and an MLP, each with a norm and a
   * residual, of which a share is dropped.
   */
  record Block(
      MultiHeadAttention self,
      LayerNorm selfNorm,
      MultiHeadAttention cross,
      LayerNorm crossNorm,
      Mlp mlp,
      LayerNorm mlpNorm,
      Normalization.Position position,
      boolean turns, // queries and keys by position
      double dropout) {
    /** What block {@code number} makes of {@code x}, {@code [B, L, E]}. */
    Outputs.Layer apply(Ops tf, Operand<TFloat32> x, Context in, int number) {
      boolean isPost = position == Normalization.Position.POST;
      Operand<TFloat32> normed = isPost ? x : selfNorm.apply(tf, x);
      Operand<TFloat32> source = position == Normalization.Position.PRE_QUERY ? x : normed;
      Projected of = self.project(tf, normed, source, turns ? in.rotation() : null);
      Operand<TFloat32> mixed = in.mixing() == null ? null : in.mixing().mix(number, of);
      Operand<TFloat32> attended = // [B, L, E]
          mixed == null ? self.attend(tf, of, in.mask(), in.drop()) : self.output(tf, mixed);
      Operand<TFloat32> hidden = residual(tf, x, attended, selfNorm, in);
      if (cross != null) {
        Operand<TFloat32> queries = isPost ? hidden : crossNorm.apply(tf, hidden);
        Projected pair = cross.project(tf, queries, in.encoded(), null);
        Operand<TFloat32> seen = cross.attend(tf, pair, in.encodedMask(), in.drop());
        hidden = residual(tf, hidden, seen, crossNorm, in);
      }
      Operand<TFloat32> into = isPost ? hidden : mlpNorm.apply(tf, hidden);
      Operand<TFloat32> out = residual(tf, hidden, mlp.apply(tf, into, in.drop()), mlpNorm, in);
      return new Outputs.Layer(out, attended, of.queries(), of.keys(), of.values(), of.logGates());
    }

    private Operand<TFloat32> residual(
        Ops tf, Operand<TFloat32> x, Operand<TFloat32> added, LayerNorm norm, Context in) {
      Operand<TFloat32> sum = tf.math.add(x, in.drop().apply(tf, added, dropout));
      return position == Normalization.Position.POST ? norm.apply(tf, sum) : sum;
    }
  }

  /** Dense layers {@code [E, F]} and {@code [F, E]}; dropout follows the activation between. */
  record Mlp(Dense in, Dense out, Activation activation, double dropout) {
    static Mlp create(Parameters all, PerformerConfig c) {
      Dense in = Dense.create(all.in("in"), c.hiddenSize(), c.mlpSize());
      Dense out = Dense.create(all.in("out"), c.mlpSize(), c.hiddenSize());
      return new Mlp(in, out, c.activation(), c.dropout().mlp());
    }

    private Operand<TFloat32> apply(Ops tf, Operand<TFloat32> x, Dropout drop) {
      Operand<TFloat32> hidden = activation.apply(tf, in.apply(tf, x)); // [..., F]
      return out.apply(tf, drop.apply(tf, hidden, dropout));
    }
  }

  /** Makes the blocks of a configuration, and draws their projections. */
  static final class Blocks {
    private final PerformerConfig config;
    private final boolean draws;
    private final Map<AttentionConfig, Optional<ProjectionMatrix>> drawn = new HashMap<>();

    /** Where {@code draws} is false, only names and shapes of projections matter. */
    Blocks(PerformerConfig config, boolean draws) {
      this.config = config;
      this.draws = draws;
    }

    /** Block i of the encoder or the only stack; or of the decoder, with cross attention. */
    Block block(Parameters parameters, int i, boolean decodes) {
      Parameters in = parameters.in("layer_" + i);
      String name = decodes ? "self_attention" : "attention";
      var own = decodes ? config.decoderAttentionOf(i) : config.attentionOf(i);
      MultiHeadAttention self = attention(in.in(name), own);
      LayerNorm selfNorm = norm(in.in(name + "_norm"));
      MultiHeadAttention cross = null;
      LayerNorm crossNorm = null;
      if (decodes) {
        cross = attention(in.in("cross_attention"), config.crossAttentionOf(i));
        crossNorm = norm(in.in("cross_attention_norm"));
      }
      Mlp mlp = Mlp.create(in.in("mlp"), config);
      LayerNorm mlpNorm = norm(in.in("mlp_norm"));
      var position = config.normalization().position();
      double dropout = config.dropout().residual();
      boolean turns = config.positions().turns(own);
      return new Block(self, selfNorm, cross, crossNorm, mlp, mlpNorm, position, turns, dropout);
    }

    /** A layer norm of the configuration. */
    LayerNorm norm(Parameters in) {
      return norm(in, config.normalization().epsilon());
    }

    /** The same with an epsilon of its own. */
    LayerNorm norm(Parameters in, double epsilon) {
      return LayerNorm.create(in, config.hiddenSize(), epsilon, config.normalization().formula());
    }

    private MultiHeadAttention attention(Parameters in, AttentionConfig attention) {
      PerformerConfig c = config;
      HeadMixer mixer = mixer(in, attention);
      return MultiHeadAttention.create(
          in, c.hiddenSize(), c.heads(), c.headSize(), c.attentionBias(), mixer);
    }

    private HeadMixer mixer(Parameters in, AttentionConfig attention) {
      double dropout = config.dropout().attention();
      float[] drawn = draws ? drawn(attention) : new float[0];
      int rows = attention.projectionRows();
      Variable projection = rows == 0 ? null : projection(in, rows, drawn);
      if (attention instanceof AttentionConfig.Favor favor) {
        HeadCalibration of =
            favor.config().meantKernel().isCalibrated()
                ? HeadCalibration.create(in, config.heads(), rows, config.headSize(), drawn)
                : null;
        var gates =
            HeadGates.create(in, favor.config().gate(), config.hiddenSize(), config.heads());
        return new HeadMixer.Favor(favor.config(), projection, of, gates, config.heads());
      } else if (attention instanceof AttentionConfig.ModelGarden garden) {
        return new HeadMixer.ModelGarden(garden.config(), projection, config.heads(), dropout);
      } else if (attention instanceof AttentionConfig.Reformer reformer) {
        return new HeadMixer.Reformer(reformer.config(), reformer.causal(), projection, dropout);
      } else if (attention instanceof AttentionConfig.Linformer linformer) {
        Variable keys = mixtures(in, "key_mixtures", linformer.rank());
        return new HeadMixer.Linformer(
            keys, mixtures(in, "value_mixtures", linformer.rank()), dropout);
      }
      AttentionConfig.Exact exact = (AttentionConfig.Exact) attention;
      return new HeadMixer.Exact(new ExactAttention(exact.causal()), exact.maskQueries(), dropout);
    }

    /** A matrix of Linformer's, {@code [k, longest S]}. */
    private Variable mixtures(Parameters in, String name, int rank) {
      int longest = config.longest();
      return in.trainable(name, new Initializer.Glorot(longest, rank), rank, longest);
    }

    private Variable projection(Parameters in, int rows, float[] values) {
      return in.fixed("projection", new Initializer.Given(values), rows, config.headSize());
    }

    private float[] drawn(AttentionConfig attention) {
      return draw(attention).map(ProjectionMatrix::values).orElse(new float[0]);
    }

    /** The projection of an attention, if it has one; layers that share one draw it once. */
    Optional<ProjectionMatrix> draw(AttentionConfig attention) {
      return drawn.computeIfAbsent(attention, a -> a.projection(config.headSize()));
    }
  }
}
