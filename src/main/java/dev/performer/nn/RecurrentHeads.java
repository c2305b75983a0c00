package dev.performer.nn;

import static dev.performer.PerformerException.require;

import dev.performer.attention.Attention.Projected;
import dev.performer.attention.ExactAttention;
import dev.performer.attention.RecurrentForm;
import dev.performer.attention.RecurrentForm.Advance;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;
import org.tensorflow.types.TFloat32;

/** The recurrent form of one layer's heads: the first ones exact, the others FAVOR+. */
public record RecurrentHeads(int heads, List<Part> parts) implements RecurrentForm {
  /** Heads that share a form. */
  record Part(RecurrentForm form, int first, int count) {}

  /** Of a layer. @throws dev.performer.PerformerException if it has no recurrent form */
  public static RecurrentHeads of(Ops tf, MultiHeadAttention layer) {
    int heads = layer.heads();
    int size = layer.headSize();
    var mixer = layer.mixer();
    boolean isGarden = mixer instanceof HeadMixer.ModelGarden;
    require(!isGarden, "Model Garden's attention has no recurrent form here");
    boolean isReformer = mixer instanceof HeadMixer.Reformer;
    require(!isReformer, "Reformer's attention has no recurrent form");
    boolean isLinformer = mixer instanceof HeadMixer.Linformer;
    require(!isLinformer, "Linformer's attention has no recurrent form");
    HeadMixer.Favor favor = mixer instanceof HeadMixer.Favor own ? own : null;
    var softmax = mixer instanceof HeadMixer.Exact own ? own.attention() : null;
    boolean causal = favor == null ? softmax.causal() : favor.config().causal();
    require(causal, "attention that is not causal has no recurrent form");
    int exact = favor == null ? heads : favor.config().exactHeads();
    List<Part> parts = new ArrayList<>();
    if (exact > 0) {
      parts.add(new Part(new ExactAttention.Recurrence(exact, size, size), 0, exact));
    }
    if (exact < heads) {
      int rest = heads - exact;
      parts.add(new Part(favor.attention(tf).recurrent(rest, size, size), exact, rest));
    }
    return new RecurrentHeads(heads, parts);
  }

  /** Names of exact heads' states and of FAVOR+'s differ. */
  @Override
  public List<State> states() {
    return parts.stream().flatMap(part -> part.form().states().stream()).toList();
  }

  @Override
  public Advance extend(
      Ops tf, List<Operand<TFloat32>> states, Projected more, Operand<TFloat32> keyMask) {
    return joined(tf, states, more, (form, own, some) -> form.extend(tf, own, some, keyMask));
  }

  @Override
  public Advance step(Ops tf, List<Operand<TFloat32>> states, Projected one) {
    return joined(tf, states, one, (form, own, some) -> form.step(tf, own, some));
  }

  @Override
  public List<State> waiting() {
    return parts.stream().flatMap(part -> part.form().waiting().stream()).toList();
  }

  /** Gives what waits, or the new states, of each form in turn. */
  @Override
  public Advance defer(
      Ops tf, List<Operand<TFloat32>> states, List<Operand<TFloat32>> waiting, Projected one) {
    Pieces late = new Pieces(waiting);
    return joined(
        tf, states, one, (form, own, some) -> form.defer(tf, own, late.next(form.waiting()), some));
  }

  /** What {@link #defer} gives. */
  public List<State> deferred() {
    return parts.stream()
        .map(Part::form)
        .flatMap(form -> (form.waiting().isEmpty() ? form.states() : form.waiting()).stream())
        .toList();
  }

  @Override
  public List<Operand<TFloat32>> settle(
      Ops tf, List<Operand<TFloat32>> states, List<Operand<TFloat32>> waiting) {
    Pieces known = new Pieces(states);
    Pieces late = new Pieces(waiting);
    List<Operand<TFloat32>> settled = new ArrayList<>();
    for (Part part : parts) {
      var own = known.next(part.form().states());
      settled.addAll(part.form().settle(tf, own, late.next(part.form().waiting())));
    }
    return settled;
  }

  /** Hands out the tensors of one form after the other; null for none. */
  private static final class Pieces {
    private final Iterator<Operand<TFloat32>> all;

    Pieces(List<Operand<TFloat32>> all) {
      this.all = all == null ? null : all.iterator();
    }

    List<Operand<TFloat32>> next(List<State> of) {
      return all == null ? null : of.stream().<Operand<TFloat32>>map(one -> all.next()).toList();
    }
  }

  private interface Advancing {
    Advance of(RecurrentForm form, List<Operand<TFloat32>> states, Projected some);
  }

  private Advance joined(
      Ops tf, List<Operand<TFloat32>> states, Projected all, Advancing advancing) {
    List<Advance> advances = new ArrayList<>();
    Pieces known = new Pieces(states);
    for (Part part : parts) {
      Projected some = all.some(tf, part.first(), part.count(), heads);
      advances.add(advancing.of(part.form(), known.next(part.form().states()), some));
    }
    return parts.size() == 1
        ? advances.get(0)
        : new Advance(
            tf.concat(advances.stream().map(Advance::output).toList(), tf.constant(1)),
            advances.stream().flatMap(advance -> advance.states().stream()).toList());
  }
}
