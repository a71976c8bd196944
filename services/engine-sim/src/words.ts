/**
 * The words the engine writes with, by their part in a sentence.
 *
 * Chosen so that any word of a list fits any slot of its kind: nouns are singular and countable,
 * verbs are transitive and in the third person, and no determiner depends on the next sound. A few
 * words carry characters beyond ASCII, which the vocabulary does not hold whole: they are written
 * as several byte tokens, as rare characters are by real tokenizers.
 */
export const WORDS = {
  opener: split("The This Each Every Another One Our Their Its That"),
  determiner: split("the this each every another one our their its that"),
  noun: split(`river pump valve engine turbine channel gate basin lake mill harbour bridge tower
    village market garden lantern engineer captain sailor miller gardener teacher painter reader
    student traveller merchant carpenter baker clerk neighbour stranger child crew council family
    letter book page chapter story map chart compass clock bell mirror window door wall roof road
    path hill valley forest meadow island coast storm current wave tide stream well bucket
    barrel boat ship sail rope anchor wheel lever signal message queue token model
    machine circuit sensor meter battery cable station train carriage platform ticket journey
    morning evening season winter summer harvest festival song melody drum voice silence question
    answer idea plan promise decision habit memory secret lesson rule pattern measure balance
    shadow light fire spark stone feather thread needle cloth coat hat coin basket table kettle
    café façade piñata fiancé`),
  adjective: split(`quiet patient narrow broad steady gentle sudden distant familiar ancient modern
    small large bright dark early late careful careless simple clever stubborn honest hidden open
    heavy light cold warm dry wet green silver golden wooden iron broken finished empty full deep
    shallow slow quick proud modest curious tired hopeful nervous calm restless useful strange
    ordinary remarkable reliable fragile generous cautious cheerful thoughtful naïve blasé`),
  verb: split(`carries follows watches measures repairs opens closes crosses remembers describes
    explains answers finds loses keeps guards lifts lowers moves turns fills empties feeds drives
    drains joins divides balances protects warns teaches surprises delights puzzles welcomes
    visits leaves reaches passes meets knows understands admires questions changes improves
    replaces needs wants builds paints reads writes hears sees holds catches releases returns
    borrows lends sells buys shares hides reveals lights cools warms shapes polishes`),
  adverb: split(`slowly quickly quietly gently carefully suddenly often rarely always never usually
    sometimes finally easily barely nearly gladly calmly boldly plainly simply wisely soon again
    together`),
  preposition: split(`beside beyond behind before after above below under over near through across
    along around toward into without within against inside outside beneath past for from with`),
  conjunction: split("and but while because so although until"),
  lead: split(`Meanwhile Usually Sometimes Eventually Afterwards Today Yesterday Tomorrow Often
    Nearby Later Still Here There Finally Slowly`),
  emoji: ["🌊", "🚢", "⚙️", "🌿"],
} as const;

/**
 * Words that prompts use often and sentences here do not, and the pieces that unknown words fall
 * into; they keep prompt lengths near those of a real tokenizer.
 */
export const COMMON_WORDS: readonly string[] =
  split(`a an and are as at be been but by can could did
  do does for from get give go had has have he her him his how I if in is it just like make many may
  me more most much must my no not now of on only or other out please said say she should so some
  than then them they thing think time to two up us use very was way we were what when where which
  who why will would write you your about also any back because come day even first good great here
  help into know last life little long look man need new next number old part people place right same
  show small tell text than thank there these those three too under want water word work world year
  explain question following list example code data user system assistant write name short sentence
  summary translate between difference language model poem story hello describe using each`);

/** Letter groups that occur inside English words, without a leading space. */
export const PIECES: readonly string[] =
  split(`th he in er an re on at en nd ti es or te of ed is it
  al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ing
  ion ent tion ation ment ness able ible ally ly est ers ies ful less ous ive ate ize ise age ance
  ence ity con com pro pre dis un ter per ver ist ism ght ough ould qu sh ck ss tt pp ff oo ee ai ay
  ow ew ey et el il ol ul am im em um ad id od ud ap ip op up ab ib ob ub ag ig og ug ac ec oc uc ca
  caf fa fian pi bl na`);

function split(list: string): readonly string[] {
  return list.split(/\s+/);
}
