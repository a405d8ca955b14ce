-- The schema `cdc`, version 10: a run that ends the way back for good stands in the journal, too.
-- begun, nothing is given up yet; switched, there is no way back any more; open, all that served it
-- is gone.
ALTER TABLE cdc.switch DROP CONSTRAINT switch_direction_check;
ALTER TABLE cdc.switch ADD CONSTRAINT switch_direction_check
    CHECK (direction IN ('forward', 'back', 'end'));
